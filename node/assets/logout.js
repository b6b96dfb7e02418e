// Goes on when every application has been told through its picture, or has had time enough; without
// scripts there is a link, and the page goes on by itself a little later.
(function () {
  "use strict";
  var next = document.getElementById("continue");
  if (!next) return;
  var left = 0;
  var go = function () { window.location.replace(next.href); };
  var settled = function () { left -= 1; if (left === 0) go(); };
  Array.prototype.forEach.call(document.querySelectorAll("img.tell"), function (picture) {
    if (picture.complete) return;
    left += 1;
    picture.addEventListener("load", settled);
    picture.addEventListener("error", settled);
  });
  if (left === 0) go();
  window.setTimeout(go, 4000);
}());
