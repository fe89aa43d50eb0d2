"use strict";
(() => {
  const PAPER_PX = 680; // width between the margins of an A4 sheet
  const NARROW_PX = 560;
  const PAPER_SCALE = 0.78; // of the height, so that two figures find room on a sheet; a map keeps its own
  const touch = window.matchMedia("(pointer: coarse)").matches;
  const config = {
    responsive: true,
    displaylogo: false,
    showSendToCloud: false,
    // a list of what is allowed: the library's own bar can send a figure to its maker's server
    modeBarButtons: [["toImage"], ["zoom2d", "pan2d", "resetScale2d"]],
    displayModeBar: touch ? false : "hover", // a touch screen would show it all the time, over the titles
  };
  const plots = [];

  for (const source of document.querySelectorAll("script[data-for]")) {
    const place = document.getElementById(source.dataset.for);
    const figure = JSON.parse(source.textContent);
    if (touch) {
      figure.layout.dragmode = false; // a finger on a plot scrolls the page
    }
    if (place.clientWidth < NARROW_PX) {
      figure.layout.margin = { ...figure.layout.margin, l: Math.min(figure.layout.margin.l, 46), r: 6 };
      figure.layout.font = { size: 11 };
    }
    Plotly.newPlot(place, figure.data, figure.layout, config);
    plots.push([place, figure.layout.height, place.dataset.map !== undefined || place.id === "plot-network" ? 1 : PAPER_SCALE]);
  }

  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const part of closed) {
      part.open = true;
    }
    for (const [place, height, scale] of plots) {
      place.style.height = `${height * scale}px`;
      Plotly.relayout(place, { width: PAPER_PX, height: height * scale });
    }
  });
  window.addEventListener("afterprint", () => {
    for (const part of closed) {
      part.open = false;
    }
    for (const [place, height] of plots) {
      place.style.height = `${height}px`;
      Plotly.relayout(place, { width: null, height, autosize: true });
    }
  });
})();
