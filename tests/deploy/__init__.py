"""The files of deploy/ agree with the code, the image and the documents."""
