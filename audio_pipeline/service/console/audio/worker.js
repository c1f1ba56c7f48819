// The worker between the WebSocket and the audio threads: the page may stand still, sound does not pass it.

import { Connection } from "./connection.js";

let connection = /** @type {Connection | null} */ (null);

/** @typedef {{t: string} & Record<string, any>} Order */

const page = /** @type {{postMessage: (message: unknown) => void, onmessage: ((event: MessageEvent) => void) | null}} */ (
  /** @type {unknown} */ (globalThis)
);

const outlet = {
  connect: (/** @type {string} */ url, /** @type {string} */ protocol) => new WebSocket(url, protocol),
  tell: (/** @type {import("./messages.js").Message} */ message) => page.postMessage(message),
  nowMs: () => performance.now(),
};

/** @type {Record<string, (order: Order) => void>} */
const orders = {
  open: ({ url }) => {
    connection = new Connection(url, outlet);
    connection.turn();
  },
  listen: ({ port, sink, stream, format, window }) => listen(sink, { stream, port, format, window }),
  feed: ({ source, stream, node }) => feed(source, { stream, node }),
  leave: ({ stream }) => connection?.leave(stream),
  clock: ({ contextS, pageMs }) => connection?.context.set(contextS, pageMs - performance.timeOrigin),
  close: () => connection?.close(),
};

page.onmessage = ({ data }) => orders[data.t]?.(data);

/**
 * @param {MessagePort} sink of the player
 * @param {import("./connection.js").ListeningTerms} terms
 */
function listen(sink, terms) {
  connection?.listen(terms, (delivery) => sink.postMessage(delivery, [delivery.message]));
  sink.onmessage = ({ data }) => {
    connection?.turn();
    connection?.audible(terms.stream, { ...data, underruns: data.counts.underruns });
  };
}

/**
 * @param {MessagePort} source of the microphone
 * @param {{stream: number, node: string}} terms
 */
function feed(source, terms) {
  connection?.feed(terms);
  source.onmessage = ({ data }) => connection?.send(terms.stream, data);
}
