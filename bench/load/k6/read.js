// Tops and ranks, as fast as VUS clients get their answers. The season is filled first.
import { duration, rank, submit, thresholds, top, vus } from "./common.js";

export const options = { vus, duration, thresholds };

export function setup() {
  for (let n = 0; n < 200; n++) submit();
}

export default function () {
  if (Math.random() < 0.5) top();
  else rank();
}
