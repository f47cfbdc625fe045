// The slider and the choice of a result; without this the pictures stand side by side.
document.documentElement.classList.add("js");
for (const compare of document.querySelectorAll(".compare")) {
  const stage = compare.querySelector(".stage");
  const slider = stage.querySelector("[type=range]");
  const results = [...stage.querySelectorAll(".made")];
  const show = () => {
    // At its ends the line stands half its width inside; the picture is shown whole there.
    const cut = { 0: -20, 100: 120 }[slider.value] ?? slider.value;
    stage.style.setProperty("--cut", cut);
    slider.setAttribute("aria-valuetext", `result left of ${slider.value} %, truth right of it`);
  };
  const choose = (chosen) => results.forEach((result, index) => { result.hidden = index !== chosen; });
  slider.addEventListener("input", show);
  for (const radio of compare.querySelectorAll("[type=radio]")) {
    radio.addEventListener("change", () => choose(Number(radio.value)));
  }
  show();
  choose(0);
}
