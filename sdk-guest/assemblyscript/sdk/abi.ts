// The canonical ABI by hand: how texts, bytes and lists lie in memory when they go from the host to a plugin and back.
// Blocks that the host fills are made by `cabi_realloc` and freed when they are read; blocks for the host are freed when it
// has read them.

/** Where the host puts answers of more than one value. */
export const AREA: usize = memory.data(32, 8);

/** Blocks that the host still reads. */
const given: usize[] = [];

/** `cabi_realloc` of the component. It must not call the host. */
export function cabi_realloc(old: usize, oldSize: usize, align: usize, size: usize): usize {
  if (size == 0) return align;
  return oldSize == 0 ? heap.alloc(size) : heap.realloc(old, size);
}

/** Frees a block that the host filled. */
export function release(pointer: usize, size: usize): void {
  if (size > 0) heap.free(pointer);
}

/** A block for the host. */
export function give(size: usize): usize {
  if (size == 0) return 8;
  const pointer = heap.alloc(size);
  memory.fill(pointer, 0, size);
  given.push(pointer);
  return pointer;
}

/** How many blocks the host still reads. */
export function mark(): i32 {
  return given.length;
}

/** Frees the blocks that were given since. */
export function releaseTo(mark: i32): void {
  while (given.length > mark) heap.free(given.pop());
}

/** The text whose place and length lie here. */
export function takeText(at: usize): string {
  const pointer: usize = load<u32>(at), length: usize = load<u32>(at, 4);
  const text = String.UTF8.decodeUnsafe(pointer, length);
  release(pointer, length);
  return text;
}

/** The optional text that lies here. */
export function takeOptionalText(at: usize): string | null {
  return load<u8>(at) == 0 ? null : takeText(at + 4);
}

/** The bytes whose place and length lie here. */
export function takeBytes(at: usize): Uint8Array {
  const pointer: usize = load<u32>(at), length = load<u32>(at, 4);
  const bytes = new Uint8Array(length);
  memory.copy(bytes.dataStart, pointer, length);
  release(pointer, length);
  return bytes;
}

/** The list of texts whose place and length lie here. */
export function takeTexts(at: usize): string[] {
  const pointer: usize = load<u32>(at), length = load<u32>(at, 4);
  const texts: string[] = [];
  for (let index: u32 = 0; index < length; index++) texts.push(takeText(pointer + 8 * index));
  release(pointer, 8 * length);
  return texts;
}

/** Puts place and length of a text here. Half of a surrogate pair becomes U+FFFD. */
export function putText(at: usize, text: string): void {
  const length = String.UTF8.byteLength(text);
  const pointer = give(length);
  String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, pointer, false, String.UTF8.ErrorMode.REPLACE);
  store<u32>(at, pointer);
  store<u32>(at, length, 4);
}

/** Puts place and length of bytes here. */
export function putBytes(at: usize, bytes: Uint8Array): void {
  const pointer = give(bytes.length);
  memory.copy(pointer, bytes.dataStart, bytes.length);
  store<u32>(at, pointer);
  store<u32>(at, bytes.length, 4);
}

/** Puts place and length of a list here, and says where it lies. */
export function putList(at: usize, length: i32, size: i32): usize {
  const pointer = give(length * size);
  store<u32>(at, pointer);
  store<u32>(at, length, 4);
  return pointer;
}

/** Puts place and length of a list of texts here. */
export function putTexts(at: usize, texts: string[]): void {
  const pointer = putList(at, texts.length, 8);
  for (let index = 0; index < texts.length; index++) putText(pointer + 8 * index, texts[index]);
}
