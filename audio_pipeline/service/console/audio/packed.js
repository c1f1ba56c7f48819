// Reads msgpack, as it stands in the payload of events: maps with text keys, at most 32 lists and maps deep.

const DEEPEST = 32;

/** Bytes that are no msgpack, or more than an event may hold. */
export class PackedError extends Error {}

/**
 * @param {Uint8Array} bytes
 * @returns {Record<string, unknown>}
 * @throws {PackedError}
 */
export function unpackMap(bytes) {
  const reader = new Reader(bytes);
  const value = reader.value(0);
  if (typeof value !== "object" || value === null || Array.isArray(value) || value instanceof Uint8Array) {
    throw new PackedError("event is no map");
  }
  if (!reader.done) throw new PackedError("event has bytes behind its map");
  return /** @type {Record<string, unknown>} */ (value);
}

class Reader {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this._bytes = bytes;
    this._view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this._at = 0;
    this._text = new TextDecoder();
  }

  get done() {
    return this._at === this._bytes.length;
  }

  /**
   * @param {number} depth
   * @returns {unknown}
   */
  value(depth) {
    if (depth > DEEPEST) throw new PackedError(`event is nested deeper than ${DEEPEST} levels`);
    const code = this._uint(1);
    if (code < 0x80) return code;
    if (code < 0x90) return this._map(code & 0x0f, depth);
    if (code < 0xa0) return this._list(code & 0x0f, depth);
    if (code < 0xc0) return this._string(code & 0x1f);
    if (code >= 0xe0) return code - 0x100;
    return this._long(code, depth);
  }

  /**
   * @param {number} code
   * @param {number} depth
   * @returns {unknown}
   */
  _long(code, depth) {
    switch (code) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: case 0xc5: case 0xc6: return this._take(this._uint(1 << (code - 0xc4)));
      case 0xca: return this._view.getFloat32(this._skip(4));
      case 0xcb: return this._view.getFloat64(this._skip(8));
      case 0xcc: case 0xcd: case 0xce: case 0xcf: return this._uint(1 << (code - 0xcc));
      case 0xd0: return this._view.getInt8(this._skip(1));
      case 0xd1: return this._view.getInt16(this._skip(2));
      case 0xd2: return this._view.getInt32(this._skip(4));
      case 0xd3: return Number(this._view.getBigInt64(this._skip(8)));
      case 0xd9: case 0xda: case 0xdb: return this._string(this._uint(1 << (code - 0xd9)));
      case 0xdc: case 0xdd: return this._list(this._uint(2 << (code - 0xdc)), depth);
      case 0xde: case 0xdf: return this._map(this._uint(2 << (code - 0xde)), depth);
      default: throw new PackedError(`event has the type 0x${code.toString(16)}, which none has`);
    }
  }

  /**
   * @param {number} bytes 1, 2, 4 or 8
   * @returns {number}
   */
  _uint(bytes) {
    const at = this._skip(bytes);
    if (bytes === 1) return this._view.getUint8(at);
    if (bytes === 2) return this._view.getUint16(at);
    if (bytes === 4) return this._view.getUint32(at);
    return Number(this._view.getBigUint64(at));
  }

  /** @param {number} bytes */
  _skip(bytes) {
    const at = this._at;
    if (at + bytes > this._bytes.length) throw new PackedError("event ends within a value");
    this._at += bytes;
    return at;
  }

  /** @param {number} bytes */
  _take(bytes) {
    const at = this._skip(bytes);
    return this._bytes.slice(at, at + bytes);
  }

  /** @param {number} bytes */
  _string(bytes) {
    return this._text.decode(this._take(bytes));
  }

  /**
   * @param {number} count
   * @param {number} depth
   */
  _list(count, depth) {
    const list = [];
    for (let i = 0; i < count; i++) list.push(this.value(depth + 1)); // ends with the bytes, whatever `count` states
    return list;
  }

  /**
   * @param {number} count
   * @param {number} depth
   */
  _map(count, depth) {
    const map = Object.create(null);
    for (let i = 0; i < count; i++) map[this._key(depth)] = this.value(depth + 1);
    return map;
  }

  /** @param {number} depth */
  _key(depth) {
    const key = this.value(depth + 1);
    if (key instanceof Uint8Array) return this._text.decode(key);
    if (typeof key !== "string") throw new PackedError("event has a key that is no text");
    return key;
  }
}
