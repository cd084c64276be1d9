// Replacement for Bootstrap and jQuery, which the pages of Great Expectations load from other hosts.
function showAllValidations() {
  document.body.classList.remove("failed-only");
}
function hideSucceededValidations() {
  document.body.classList.add("failed-only");
}
document.querySelectorAll('[data-toggle="collapse"]').forEach((link) => {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    document.querySelector(link.getAttribute("href")).classList.toggle("show");
  });
});
