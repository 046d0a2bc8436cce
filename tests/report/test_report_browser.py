"""The page in a real browser: it is drawn, fits a phone, and what is stored in it does not run."""

import re
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from browser import BROWSER, FLAGS

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
PATIENCE = ("--hide-scrollbars", "--virtual-time-budget=2000")


def browse(tmp_path: Path, page: Path, *flags: str) -> str:
    command = [str(BROWSER), *FLAGS, *PATIENCE, f"--user-data-dir={tmp_path / 'profile'}", *flags, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def shades(path: Path) -> tuple[tuple[int, int], set[int]]:
    """Size of a PNG and the bytes that occur in its pixel data: a blank picture has a handful."""
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG")
    size = struct.unpack(">II", data[16:24])
    chunks, place = b"", 8
    while place < len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        chunks += data[place + 8 : place + 8 + length] if kind == b"IDAT" else b""
        place += length + 12
    return size, set(zlib.decompress(chunks))


@pytest.mark.parametrize("scheme", [0, 1], ids=["dark", "light"])
def test_page_is_drawn(written, tmp_path, scheme):
    picture = tmp_path / "page.png"
    flags = ("--window-size=1280,2400", f"--blink-settings=preferredColorScheme={scheme}", f"--screenshot={picture}")
    browse(tmp_path, written / "report.html", *flags)
    size, seen = shades(picture)
    assert size == (1280, 2400)
    assert len(seen) > 100


def test_stored_script_does_not_run(written, tmp_path):
    """The attack would set the title to "run"."""
    found = re.search("<title>(.*?)</title>", browse(tmp_path, written / "report.html", "--dump-dom"))
    assert found is not None and found.group(1) == "تقرير مَشْق · quickstart/3f2a91c0"


def test_page_fits_phones_and_desks(written, tmp_path):
    """Nothing is wider than the window but what scrolls in a box of its own (measured in a copy that may run code)."""
    widths = (360, 390, 768, 1280)
    page = (written / "report.html").read_text("utf-8")
    measure = "parent.postMessage(innerWidth + ':' + document.documentElement.scrollWidth, '*')"
    page = re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", page, count=1)
    (tmp_path / "copy.html").write_text(page.replace("</body>", f"<script>{measure}</script></body>"), "utf-8")
    frames = "".join(f'<iframe src="copy.html" width="{width}" height="900"></iframe>' for width in widths)
    listen = "onmessage = e => { document.getElementById('told').textContent += e.data + ' ' }"
    (tmp_path / "frames.html").write_text(f'<body><p id="told"></p><script>{listen}</script>{frames}</body>', "utf-8")
    found = re.search(r'<p id="told">(.*?)</p>', browse(tmp_path, tmp_path / "frames.html", "--dump-dom"))
    assert found is not None
    told = dict(pair.split(":") for pair in found.group(1).split())
    assert told == {str(width): str(width) for width in widths}


def printed(tmp_path: Path, page: Path) -> int:
    """Pages of paper."""
    paper = tmp_path / f"{page.stem}.pdf"
    browse(tmp_path, page, f"--print-to-pdf={paper}", "--no-pdf-header-footer")
    return len(re.findall(rb"/Type /Page\b", paper.read_bytes()))


def test_what_is_folded_is_printed_only_where_a_reader_opened_it(written, tmp_path):
    text = (written / "report.html").read_text("utf-8")
    (tmp_path / "opened.html").write_text(text.replace("<details", "<details open"), "utf-8")
    folded, opened = printed(tmp_path, written / "report.html"), printed(tmp_path, tmp_path / "opened.html")
    assert 0 < folded < opened
    assert text.count('<p class="on-paper quiet">') == 1
