// Tones and how far a signal is from one.

/**
 * A sine of full scale at fractional places.
 * @param {number} hz
 * @param {number} rate
 */
export const sine = (hz, rate) => (/** @type {number} */ place) => Math.sin((2 * Math.PI * hz * place) / rate);

/** Ratio of a reference's power to that of the difference, in dB. */
export function signalToResidual(got, wanted, from = 0, to = got.length) {
  let signal = 0;
  let residual = 0;
  for (let i = from; i < to; i++) {
    signal += wanted[i] ** 2;
    residual += (got[i] - wanted[i]) ** 2;
  }
  return 10 * Math.log10(signal / residual);
}

/**
 * Power of a tone beside everything else, after the best fit of sine and cosine at its frequency, in dB.
 */
export function toneToRest(got, hz, rate) {
  let [ss, cc, power] = [0, 0, 0];
  const n = got.length;
  for (let i = 0; i < n; i++) {
    const w = 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / n); // Hann: ends of the excerpt do not count
    ss += w * got[i] * Math.sin((2 * Math.PI * hz * i) / rate);
    cc += w * got[i] * Math.cos((2 * Math.PI * hz * i) / rate);
    power += w;
  }
  const [a, b] = [(2 * ss) / power, (2 * cc) / power];
  const wanted = got.map((_, i) => a * Math.sin((2 * Math.PI * hz * i) / rate) + b * Math.cos((2 * Math.PI * hz * i) / rate));
  return { level: Math.hypot(a, b), ratio: signalToResidual(got, wanted) };
}
