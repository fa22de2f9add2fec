// Submissions, as fast as VUS clients get their answers.
import { duration, submit, thresholds, vus } from "./common.js";

export const options = { vus, duration, thresholds };

export default function () {
  submit();
}
