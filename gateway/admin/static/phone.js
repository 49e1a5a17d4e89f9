// Whoever writes goes on writing, though the page went to what was sent; unless that put the field out of sight.
"use strict";

addEventListener("load", () => {
  const beside = matchMedia("(min-width: 64.01rem)").matches;
  if (!location.hash || beside) document.getElementById("body")?.focus({ preventScroll: true });
});
