// EXIF data for a saved picture (JEITA CP-3451): how it is turned, when it was taken and by
// which camera. The picture itself stays as the camera made it.
const u16 = n => [n >> 8, n & 255];
const u32 = n => [...u16(n >>> 16), ...u16(n & 65535)];
const text = s => [...new TextEncoder().encode(s), 0];

// directory is a TIFF directory that begins at an offset: its fields, as [tag, type (2 is text,
// 3 and 4 are numbers of 2 and 4 bytes), bytes, count], and behind them those of their values that are longer than 4 bytes.
function directory(at, fields) {
  const values = [], behind = at + 2 + 12 * fields.length + 4;
  const entries = fields.flatMap(([tag, type, bytes, count = bytes.length]) => {
    const entry = [...u16(tag), ...u16(type), ...u32(count)];
    if (bytes.length <= 4) return [...entry, ...bytes, 0, 0, 0, 0].slice(0, 12);
    entry.push(...u32(behind + values.length));
    values.push(...bytes, ...(bytes.length % 2 ? [0] : []));
    return entry;
  });
  return [...u16(fields.length), ...entries, ...u32(0), ...values];
}

// segment is a JPEG's APP1 segment for a picture that is to be turned by quarters, clockwise,
// and then mirrored.
function segment({ turns, mirrored, taken, name }) {
  const two = n => String(n).padStart(2, "0"), zone = -taken.getTimezoneOffset();
  const date = text([taken.getFullYear(), two(taken.getMonth() + 1), two(taken.getDate())].join(":") + " " +
    [taken.getHours(), taken.getMinutes(), taken.getSeconds()].map(two).join(":"));
  const offset = text((zone < 0 ? "-" : "+") + two(Math.trunc(Math.abs(zone) / 60)) + ":" + two(Math.abs(zone) % 60));
  const orientation = [[1, 2], [6, 5], [3, 4], [8, 7]][turns][Number(mirrored)];
  const first = details => directory(8, [
    [0x010e, 2, text(name)], // ImageDescription
    [0x0112, 3, u16(orientation), 1],
    [0x0132, 2, date], // DateTime
    [0x8769, 4, u32(details), 1], // where the next directory is
  ]);
  const details = 8 + first(0).length;
  const tiff = [...text("MM").slice(0, 2), ...u16(42), ...u32(8), ...first(details), ...directory(details, [
    [0x9000, 7, text("0232").slice(0, 4)], // ExifVersion
    [0x9003, 2, date], // DateTimeOriginal
    [0x9011, 2, offset], // OffsetTimeOriginal
  ])];
  return new Uint8Array([0xff, 0xe1, ...u16(2 + 6 + tiff.length), ...text("Exif"), 0, ...tiff]);
}

// withExif is a camera's JPEG with this EXIF data in the place of its own.
export function withExif(jpeg, data) {
  const kept = [];
  let at = 2;
  while (jpeg[at] === 0xff && jpeg[at + 1] >= 0xe0 && jpeg[at + 1] <= 0xef) {
    const end = at + 2 + (jpeg[at + 2] << 8 | jpeg[at + 3]);
    if (jpeg[at + 1] !== 0xe1) kept.push(jpeg.subarray(at, end)); // APP1 is EXIF or XMP, which turns pictures, too
    at = end;
  }
  return new Blob([jpeg.subarray(0, 2), segment(data), ...kept, jpeg.subarray(at)], { type: "image/jpeg" });
}
