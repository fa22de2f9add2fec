// Four reads to one submission, as fast as VUS clients get their answers.
import { duration, rank, submit, thresholds, top, vus } from "./common.js";

export const options = { vus, duration, thresholds };

export default function () {
  const die = Math.random();
  if (die < 0.2) submit();
  else if (die < 0.6) rank();
  else top();
}
