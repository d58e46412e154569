// What the pages call in their attributes, registered by name: Alpine's CSP build looks nothing up in the window.
document.addEventListener("alpine:init", () => {
  for (const component of [theme, searchForm, searchDropdown, searchCommand]) {
    Alpine.data(component.name, component);
  }

  Alpine.data("page", (primaryTab) => ({
    activeTab: getCurrentTab() || primaryTab,
    sidebarMobileOpen: false,
    sidebarDesktopOpen: localStorage.getItem("sidebarDesktopOpen") !== "0",
    // Of the window, forms name the address of the page, and the button that folds the sidebar its storage; what the
    // button has done is stored by the watcher below.
    window: { location: { pathname: location.pathname, search: location.search } },
    localStorage: { setItem() {} },
    init() {
      this.$watch("sidebarDesktopOpen", (isOpen) => localStorage.setItem("sidebarDesktopOpen", isOpen ? "1" : "0"));
    },
  }));
});

// A style that a script sets as text is an inline style to the policy; set as a property it is not.
const setAttribute = Element.prototype.setAttribute;
Element.prototype.setAttribute = function (name, value) {
  if (name === "style" && this.style) {
    this.style.cssText = value;
  } else {
    setAttribute.call(this, name, value);
  }
};
