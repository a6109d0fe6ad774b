// EXIF data for a saved picture (JEITA CP-3451): how it is turned, when it was taken and by
// which camera. The picture itself stays as the camera made it.
const two = n => String(n).padStart(2, "0");
const text = s => [...new TextEncoder().encode(s), 0];
const u16 = n => [n >> 8 & 255, n & 255];
const u32 = n => [...u16(n >>> 16), ...u16(n)];
const field = (tag, type, count, value) => [...u16(tag), ...u16(type), ...u32(count), ...u32(value)];

// segment is a JPEG's APP1 segment for a picture that is to be turned by quarters, clockwise,
// and then mirrored. Its texts stand behind the two directories, from byte 104 on.
function segment({ turns, mirrored, taken, name }) {
  const zone = -taken.getTimezoneOffset(), away = Math.abs(zone);
  const title = text(name.padEnd(4)); // a shorter text would be a field's value
  const tiff = [0x4d, 0x4d, ...u16(42), ...u32(8),
    ...u16(4),
    ...field(0x010e, 2, title.length, 132), // ImageDescription
    ...field(0x0112, 3, 1, [[1, 2], [6, 5], [3, 4], [8, 7]][turns][Number(mirrored)] << 16), // Orientation
    ...field(0x0132, 2, 20, 104), // DateTime
    ...field(0x8769, 4, 1, 62), // the other directory
    ...u32(0), ...u16(3),
    ...field(0x9000, 7, 4, 0x30323332), // ExifVersion
    ...field(0x9003, 2, 20, 104), // DateTimeOriginal
    ...field(0x9011, 2, 7, 124), // OffsetTimeOriginal
    ...u32(0), ...text(local(taken).replaceAll("-", ":").replace("T", " ")),
    ...text((zone < 0 ? "-" : "+") + two(Math.trunc(away / 60)) + ":" + two(away % 60)), 0, ...title];
  return new Uint8Array([0xff, 0xe1, ...u16(8 + tiff.length), ...text("Exif"), 0, ...tiff]);
}

// local is a time where the browser is, as 2026-05-13T19:30:00.
export const local = t => new Date(t - t.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);

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
