// The line that follows the sound, a click that moves it, and one track at a time.
for (const track of document.querySelectorAll(".track")) {
  const audio = track.querySelector("audio"), plots = track.querySelector(".plots");
  const head = track.querySelector(".playhead");
  const draw = () => {
    const length = audio.duration || Number(plots.dataset.seconds);
    head.style.display = audio.currentTime ? "block" : "none";
    head.style.left = `${(100 * audio.currentTime) / length}%`;
    if (!audio.paused) requestAnimationFrame(draw);
  };
  audio.addEventListener("play", () => {
    document.querySelectorAll("audio").forEach((other) => other !== audio && other.pause());
    draw();
  });
  audio.addEventListener("seeked", draw);
  plots.addEventListener("click", (event) => {
    const box = plots.getBoundingClientRect();
    const length = audio.duration || Number(plots.dataset.seconds);
    audio.currentTime = length * Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
  });
}
