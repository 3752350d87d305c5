// A document of JPEG pictures, one a page, put in as they are: the same document as flipdetect/outputs/still_files.py
// writes (PDF 1.4, ISO 32000-1). The pictures are not read into memory: a Blob may be made of Blobs.

/** Longer side of a page in points: 297 mm. */
const LONG_SIDE = (297 / 25.4) * 72;

/** Pictures `{blob, width, height}` (JPEG, colour) -> Blob. */
export function makePdf(pictures, title) {
  const parts = [];
  const offsets = [];
  let length = 0;
  const write = (part) => {
    const bytes = part instanceof Blob ? part : Uint8Array.from(part, (letter) => letter.charCodeAt(0));
    parts.push(bytes);
    length += bytes.size ?? bytes.length;
  };
  const add = (entries, stream) => {
    offsets.push(length);
    const size = stream === undefined ? "" : ` /Length ${stream.size ?? stream.length}`;
    write(`${offsets.length} 0 obj\n<< ${entries}${size} >>\n`);
    if (stream !== undefined) ["stream\n", stream, "\nendstream\n"].forEach(write);
    write("endobj\n");
  };

  write("%PDF-1.4\n%\xe2\xe3\xcf\xd3\n");
  add("/Type /Catalog /Pages 2 0 R");
  const kids = pictures.map((_, place) => `${4 + 3 * place} 0 R`).join(" ");
  add(`/Type /Pages /Count ${pictures.length} /Kids [${kids}]`);
  const digits = Array.from(title, (letter) => letter.codePointAt(0).toString(16).padStart(4, "0")).join("");
  add(`/Title <feff${digits}>`);
  pictures.forEach(({ blob, width, height }, place) => {
    const number = 4 + 3 * place;
    const [across, up] = [width, height].map((side) => ((side * LONG_SIDE) / Math.max(width, height)).toFixed(2));
    add(
      `/Type /Page /Parent 2 0 R /MediaBox [0 0 ${across} ${up}] /Contents ${number + 1} 0 R ` +
        `/Resources << /XObject << /Im0 ${number + 2} 0 R >> >>`,
    );
    add("", `q ${across} 0 0 ${up} 0 0 cm /Im0 Do Q`);
    add(
      `/Type /XObject /Subtype /Image /Width ${width} /Height ${height} /ColorSpace /DeviceRGB ` +
        "/BitsPerComponent 8 /Filter /DCTDecode",
      blob,
    );
  });
  const start = length;
  const table = offsets.map((offset) => `${String(offset).padStart(10, "0")} 00000 n \n`).join("");
  const size = offsets.length + 1;
  write(
    `xref\n0 ${size}\n0000000000 65535 f \n${table}trailer\n<< /Size ${size} /Root 1 0 R /Info 3 0 R >>\n` +
      `startxref\n${start}\n%%EOF\n`,
  );
  return new Blob(parts, { type: "application/pdf" });
}
