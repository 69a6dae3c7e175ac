// Evaluated in the page by the debugger; the page itself has no script.
(() => {
  const numbers = (colour) => (colour.match(/[\d.]+/g) || []).map(Number);
  const luminance = ([red, green, blue]) => {
    const [r, g, b] = [red, green, blue].map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = numbers(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const faint = new Set();
  const judge = (element, colour, least) => {
    const ratio = contrast(numbers(colour), behind(element));
    if (ratio < least) faint.add(`${element.tagName} .${element.getAttribute("class")} ${ratio.toFixed(2)}`);
  };
  for (const element of document.body.querySelectorAll("*")) {
    const style = getComputedStyle(element);
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (element instanceof SVGElement) {
      if (element.tagName === "text") judge(element, style.fill, 4.5);
      if (/^[kf]([1-6]|x|c)$/.test(element.getAttribute("class"))) judge(element, style.stroke, 3);
    } else if (own) {
      judge(element, style.color, 4.5);
    }
  }
  const charts = [...document.querySelectorAll("figure > svg")];
  const drawn = (chart) =>
    [...chart.querySelectorAll("path, rect")].some((shape) => {
      const box = shape.getBBox();
      return /^[kf][1-6]$/.test(shape.getAttribute("class")) && box.width + box.height > 0;
    });
  const empty = charts.filter((chart) => !drawn(chart) || chart.getBoundingClientRect().width < 200);
  return {
    scrollWidth: document.documentElement.scrollWidth,
    background: getComputedStyle(document.documentElement).backgroundColor,
    charts: charts.length,
    empty: empty.map((chart) => chart.querySelector("title").textContent),
    faint: [...faint],
  };
})();
