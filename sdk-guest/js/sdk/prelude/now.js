/** Makes `now` the only clock that JavaScript's own functions see. */
export function replaceNow(now) {
  const Real = Date;
  Real.now = now;
  const Replaced = new Proxy(Real, {
    construct: (_, parts, target) => Reflect.construct(Real, parts.length === 0 ? [now()] : parts, target),
    apply: () => new Real(now()).toString(),
  });
  Real.prototype.constructor = Replaced;
  globalThis.Date = Replaced;
  delete globalThis.performance;
}
