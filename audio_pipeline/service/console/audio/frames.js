// The frame on the wire, `docs/protocol.md`: a little-endian header of 64 bytes or more, then the payload.
// Numbers beyond 2^53 (a host clock after 104 days, in ns) lose their last bits; nothing here needs those.

export const HEADER_BYTES = 64;
export const Format = Object.freeze({ F32: 1, S16: 2, OPUS: 3, EVENT: 16 });
export const Flag = Object.freeze({
  DISCONTINUITY: 1,
  GAP: 2,
  CONCEALED: 4,
  SEGMENT_START: 8,
  SEGMENT_END: 16,
  END: 32,
  REPLAY: 64,
});

const MAGIC = 0x31465041; // "APF1"
const VERSION = 1;
const KNOWN_FLAGS = 0x7f;
const MAX_CHANNELS = 32;
const MAX_SAMPLES = 1 << 20;
const MIN_RATE = 1_000;
const MAX_RATE = 768_000;
const MAX_EVENT_BYTES = 1 << 16;
const MAX_POSITION = 2 ** 53;
const MAX_CAPTURED_NS = 2 ** 61;
const U32 = 2 ** 32;

/**
 * @typedef {object} Header
 * @property {number} format one of `Format`
 * @property {number} channels 0 in events
 * @property {number} rate Hz
 * @property {number} samples per channel
 * @property {number} flags of `Flag`; unknown ones are left out
 * @property {number} clockId
 * @property {number} epoch
 * @property {number} stream
 * @property {number} seq
 * @property {number} position of the first sample
 * @property {number} capturedNs 0: unknown
 * @property {number} generation
 * @property {number} sentAgeUs
 * @property {number} start where the payload begins, in bytes
 * @property {number} payloadBytes
 */

/** A message that is no frame, with the reason. */
export class FrameError extends Error {}

/**
 * The header of a frame; every length is checked before it is used.
 * @param {ArrayBuffer} message
 * @returns {Header}
 * @throws {FrameError}
 */
export function parseHeader(message) {
  if (message.byteLength < HEADER_BYTES) {
    throw new FrameError(`frame of ${message.byteLength} bytes is shorter than its ${HEADER_BYTES}-byte header`);
  }
  const view = new DataView(message);
  checkStart(view);
  const header = readFields(view);
  checkLengths(header, message.byteLength);
  checkRanges(header, view);
  checkPayload(header);
  return header;
}

/** @param {DataView} view */
function checkStart(view) {
  if (view.getUint32(0, true) !== MAGIC) {
    throw new FrameError("frame does not start with 'APF1'");
  }
  if (view.getUint8(4) !== VERSION) {
    throw new FrameError(`frame has protocol version ${view.getUint8(4)}, expected ${VERSION}`);
  }
}

/**
 * @param {DataView} view
 * @returns {Header}
 */
function readFields(view) {
  const format = view.getUint8(6);
  const isEvent = format === Format.EVENT;
  return {
    format,
    channels: isEvent ? 0 : view.getUint8(7),
    rate: view.getUint32(8, true),
    samples: isEvent ? 0 : view.getUint32(12, true),
    payloadBytes: view.getUint32(16, true),
    flags: view.getUint16(20, true) & KNOWN_FLAGS,
    clockId: view.getUint16(22, true),
    epoch: view.getUint32(24, true),
    stream: view.getUint32(28, true),
    seq: readU64(view, 32),
    position: readU64(view, 40),
    capturedNs: Number(view.getBigInt64(48, true)),
    generation: view.getUint32(56, true),
    sentAgeUs: view.getUint32(60, true),
    start: view.getUint8(5),
  };
}

/**
 * @param {DataView} view
 * @param {number} at
 */
function readU64(view, at) {
  return view.getUint32(at + 4, true) * U32 + view.getUint32(at, true);
}

/**
 * @param {Header} header
 * @param {number} bytes
 */
function checkLengths({ start, payloadBytes }, bytes) {
  if (start < HEADER_BYTES || start + payloadBytes !== bytes) {
    throw new FrameError(`frame of ${bytes} bytes states ${start} bytes of header and ${payloadBytes} of payload`);
  }
}

/**
 * @param {Header} header
 * @param {DataView} view
 */
function checkRanges({ rate, seq, position, capturedNs, clockId }, view) {
  if (rate < MIN_RATE || rate > MAX_RATE) {
    throw new FrameError(`frame states a rate of ${rate} Hz, expected ${MIN_RATE} to ${MAX_RATE}`);
  }
  const seqIsFine = view.getUint32(36, true) < 2 ** 30; // below 2^62
  if (!seqIsFine || position > MAX_POSITION || Math.abs(capturedNs) >= MAX_CAPTURED_NS || clockId < 0) {
    throw new FrameError(`frame states number ${seq}, position ${position}, captured at ${capturedNs} ns: out of range`);
  }
}

/** @param {Header} header */
function checkPayload({ format, channels, samples, flags, payloadBytes }) {
  if (format === Format.EVENT) {
    if (payloadBytes > MAX_EVENT_BYTES) {
      throw new FrameError(`event has ${payloadBytes} bytes, expected at most ${MAX_EVENT_BYTES}`);
    }
    return;
  }
  if (channels < 1 || channels > MAX_CHANNELS || samples > MAX_SAMPLES) {
    throw new FrameError(`frame states ${channels} channels of ${samples} samples`);
  }
  const expected = flags & Flag.GAP ? 0 : expectedBytes(format, samples * channels);
  if (expected !== null && payloadBytes !== expected) {
    throw new FrameError(`frame payload has ${payloadBytes} bytes, expected ${expected}`);
  }
}

/**
 * @param {number} format
 * @param {number} values
 * @returns {number | null} null where the format does not fix it
 */
function expectedBytes(format, values) {
  if (format === Format.F32) return values * 4;
  if (format === Format.S16) return values * 2;
  if (format === Format.OPUS) return null;
  throw new FrameError(`frame has format ${format}, expected f32 (1), s16 (2) or opus (3)`);
}

/**
 * Writes a header of 64 bytes to the start of a message whose payload lies behind it.
 * @param {ArrayBuffer} message
 * @param {Omit<Header, "start" | "payloadBytes" | "clockId" | "sentAgeUs">} fields
 */
export function writeHeader(message, fields) {
  const view = new DataView(message);
  view.setUint32(0, MAGIC, true);
  view.setUint8(4, VERSION);
  view.setUint8(5, HEADER_BYTES);
  view.setUint8(6, fields.format);
  view.setUint8(7, fields.channels);
  view.setUint32(8, fields.rate, true);
  view.setUint32(12, fields.samples, true);
  view.setUint32(16, message.byteLength - HEADER_BYTES, true);
  view.setUint16(20, fields.flags, true);
  view.setUint16(22, 0, true);
  view.setUint32(24, fields.epoch, true);
  view.setUint32(28, fields.stream, true);
  view.setBigUint64(32, BigInt(fields.seq), true);
  view.setBigUint64(40, BigInt(fields.position), true);
  view.setBigInt64(48, BigInt(Math.round(fields.capturedNs)), true);
  view.setUint32(56, fields.generation, true);
  view.setUint32(60, 0, true);
}
