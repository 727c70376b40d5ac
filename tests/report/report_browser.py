"""Headless Chromium over its debugging pipe: enough to open a page, look at it, and press a button."""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import time
from pathlib import Path
from typing import Any

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars --remote-debugging-pipe"
)


class Page:
    """One page; console messages, uncaught errors and network requests are kept in lists as they happen."""

    def __init__(self, profile: Path, width: int = 1366, height: int = 768, dark: bool = False) -> None:
        to_browser, from_us = os.pipe()
        from_browser, to_us = os.pipe()

        def place() -> None:  # Chromium reads commands from descriptor 3 and answers on 4
            os.dup2(os.dup(to_browser), 3)
            os.dup2(os.dup(to_us), 4)

        command = [str(CHROMIUM), *FLAGS.split(), f"--user-data-dir={profile}", "about:blank"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        # descriptors must survive into the child until they are moved to 3 and 4
        self.process = subprocess.Popen(command, preexec_fn=place, close_fds=False, **quiet)  # type: ignore[call-overload]
        os.close(to_browser)
        os.close(to_us)
        self._write, self._read, self._rest, self._last = from_us, from_browser, b"", 0
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._session: str | None = None
        target = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._last:
                assert "error" not in answer, answer
                return answer["result"]
            self._note(answer)

    def _next(self, patience: float = 30.0) -> dict[str, Any]:
        end = time.monotonic() + patience
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            chunk = os.read(self._read, 1 << 20)
            assert chunk, "the browser is gone"
            self._rest += chunk
        raw, _, self._rest = self._rest.partition(b"\0")
        return json.loads(raw)

    def _note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.errors.append(str(params["exceptionDetails"].get("exception", params)))
        if event.get("method") == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.errors.append(str(params["args"]))
        if event.get("method") == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append(params["entry"]["text"])
        if event.get("method") == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    def run(self, script: str) -> Any:
        """Value of a JavaScript expression (promises are awaited)."""
        told = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def open(self, path: Path) -> None:
        """Load a file and wait until its figures are drawn."""
        self.call("Page.navigate", url=path.resolve().as_uri())
        end = time.monotonic() + 30
        while not self.run(
            "document.readyState === 'complete' && document.documentElement.dataset.drawn !== undefined"
        ):
            assert time.monotonic() < end, "the figures were not drawn"
            time.sleep(0.05)

    def come_to(self, selector: str, ready: str) -> None:
        """Scroll to an element and wait until an expression is true."""
        self.run(f"document.querySelector({json.dumps(selector)}).scrollIntoView()")
        end = time.monotonic() + 10
        while not self.run(ready):
            assert time.monotonic() < end, f"{ready} did not come true"
            time.sleep(0.05)

    def shoot(self, path: Path) -> None:
        """Screenshot of the whole page."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def close(self) -> None:
        """End the browser and wait for it."""
        self.process.terminate()
        self.process.wait(20)
        os.close(self._write)
        os.close(self._read)
