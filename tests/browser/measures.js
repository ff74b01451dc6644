// What a page looks like, in numbers. An expression whose value is { cropped, overflow, wide, pictures, drawings, headings, texts, dim }.
(() => {
  const channels = (color) => {
    const numbers = color.match(/[\d.]+/g).map(Number);
    return numbers.length === 3 ? [...numbers, 1] : numbers;
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[3] * top[i] + (1 - top[3]) * below[i]).concat(1);
  // WCAG 2.2, "relative luminance" and "contrast ratio".
  const luminance = (color) => {
    const [r, g, b] = color.slice(0, 3).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const behind = (element) => {
    if (element === null) return [255, 255, 255, 1];
    const own = channels(getComputedStyle(element).backgroundColor);
    return own[3] === 1 ? own : over(own, behind(element.parentElement));
  };

  document.querySelectorAll("details").forEach((details) => { details.open = true; });
  const width = document.documentElement.clientWidth;
  const wide = [...document.body.querySelectorAll("*")].filter((element) => {
    const box = element.getBoundingClientRect();
    const scrolls = element.closest(".scroll, pre");  // these scroll by themselves
    return box.right > width + 1 && (scrolls === null || scrolls === element);
  });
  const dim = [];
  let texts = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || !element.checkVisibility() || element.tagName === "title") continue;
    texts += 1;
    const style = getComputedStyle(element);
    const drawn = element instanceof SVGElement;
    // A halo of its own is what a letter stands on, whatever lies beneath.
    const ground = drawn && style.stroke !== "none" ? channels(style.stroke) : behind(element);
    const ratio = contrast(over(channels(drawn ? style.fill : style.color), ground), ground);
    if (ratio < 4.5) dim.push(`${ratio.toFixed(2)}: ${node.textContent.trim().slice(0, 60)}`);
  }
  // Letters outside of their drawing are cut off.
  const cropped = [...document.querySelectorAll("svg text")].filter((text) => {
    const letters = text.getBoundingClientRect();
    const drawing = text.ownerSVGElement.getBoundingClientRect();
    return letters.left < drawing.left - 1 || letters.right > drawing.right + 1 || letters.bottom > drawing.bottom + 1;
  });
  return {
    cropped: cropped.map((text) => text.textContent.slice(0, 60)),
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    wide: wide.map((element) => element.outerHTML.slice(0, 80)),
    pictures: [...document.images].map((image) => ({
      loaded: image.complete && image.naturalWidth > 0,
      alt: image.alt.trim(),
      shown: image.getBoundingClientRect().width,
    })),
    drawings: [...document.querySelectorAll("svg")].map((drawing) => drawing.getAttribute("aria-label")),
    headings: [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].map((heading) => Number(heading.tagName[1])),
    texts,
    dim,
  };
})()
