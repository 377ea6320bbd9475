"""Debian's Chromium without a window, spoken to over a pipe: pages at a width, in the light, the dark or for paper."""

import base64
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

NAMES = ("chromium", "chromium-browser", "google-chrome")
ANSWER_MAX_S = 120

# What a person would see at once: text that is cut off, that lies on other text, that cannot be read on its ground.
LOOK = r"""
(() => {
  const found = [];
  const say = (what, it) => found.push(what + ": " + (it.textContent || it.tagName).trim().replace(/\s+/g, " ").slice(0, 80));
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth + 1) found.push(`the page is ${root.scrollWidth} wide in ${root.clientWidth}`);
  const isShown = it => it.getClientRects().length > 0;
  for (const it of document.querySelectorAll("p, li, dd, dt, h1, h2, h3, figcaption, td, th")) {
    if (isShown(it) && it.scrollWidth > it.clientWidth + 1 && getComputedStyle(it).overflowX !== "auto") say("overflows", it);
  }
  for (const svg of document.querySelectorAll("svg")) {
    const frame = svg.getBoundingClientRect();
    const boxes = [...svg.querySelectorAll("text")].map(it => [it, it.getBoundingClientRect()]);
    boxes.forEach(([it, box], at) => {
      const out = box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 2 || box.bottom > frame.bottom + 2;
      if (out) say("cut off", it);
      for (const [other, b] of boxes.slice(at + 1)) {
        const across = Math.min(box.right, b.right) - Math.max(box.left, b.left);
        const down = Math.min(box.bottom, b.bottom) - Math.max(box.top, b.top);
        if (across > 1 && down > 3) say(`lies on "${other.textContent}"`, it);
      }
      if (box.height > 0 && box.height < 8 && box.width > 0) say(`only ${box.height.toFixed(1)} px high`, it);
    });
  }
  const channels = text => (text.match(/[\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => {
    const of = it => (it /= 255) <= 0.03928 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4;
    return 0.2126 * of(r) + 0.7152 * of(g) + 0.0722 * of(b);
  };
  const ground = it => {
    for (; it; it = it.parentElement) {
      const colour = channels(getComputedStyle(it).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  for (const it of document.querySelectorAll("p, li, dd, dt, h1, h2, h3, figcaption, td, th, b, text.t")) {
    const style = getComputedStyle(it);
    const [a, b] = [light(channels(it.tagName === "text" ? style.fill : style.color)), light(ground(it))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (isShown(it) && contrast < 4.5) say(`contrast ${contrast.toFixed(1)}`, it);
  }
  return [...new Set(found)].slice(0, 20);
})()
"""


def program():
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One Chromium with one page."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="ringlog-browser-")
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage",
                   "--disable-background-networking", "--no-first-run", f"--user-data-dir={self.folder}", "--remote-debugging-pipe"]
        shell = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self.process = subprocess.Popen(
            ["bash", "-c", shell, "browser", program(), *options, "about:blank"],
            pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        self.reader, self.writer = os.fdopen(ours_in, "rb"), os.fdopen(ours_out, "wb")
        self.number, self.session = 0, None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.ask("Page.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.reader.close()
        self.writer.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.writer.write(json.dumps(message).encode() + b"\0")
        self.writer.flush()
        answer = self.wait(lambda it: it.get("id") == self.number)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def wait(self, is_it):
        while True:
            text = bytearray()
            while (byte := self.reader.read(1)) != b"\0":
                if not byte:
                    raise RuntimeError("the browser ended")
                text += byte
            message = json.loads(text)
            if is_it(message):
                return message

    def open(self, page, width, scheme="light", media=""):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.ask("Emulation.setEmulatedMedia", media=media, features=features)
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.ask("Page.navigate", url=pathlib.Path(page).resolve().as_uri())
        self.wait(lambda it: it.get("method") == "Page.loadEventFired")

    def look(self):
        """What is wrong with the page as it is shown."""
        answer = self.ask("Runtime.evaluate", expression=LOOK, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"])
        return answer["result"]["value"]

    def picture(self, height_max=16000, clip=None):
        """The whole page, or a clip of it, as the bytes of a PNG."""
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        clip = clip or {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], height_max)}
        shot = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip={**clip, "scale": 1})
        return base64.b64decode(shot["data"])

    def box(self, selector):
        """Where an element is on the page."""
        script = f"(it => [it.x + scrollX, it.y + scrollY, it.width, it.height])(document.querySelector({selector!r}).getBoundingClientRect())"
        x, y, width, height = self.ask("Runtime.evaluate", expression=script, returnByValue=True)["result"]["value"]
        return {"x": x, "y": y, "width": width, "height": height}
