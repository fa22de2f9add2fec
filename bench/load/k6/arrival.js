// RATE arrivals per second, however slow the answers are: four reads to one submission.
import { duration, rank, rate, submit, thresholds, top, vus } from "./common.js";

export const options = {
  scenarios: {
    players: {
      executor: "constant-arrival-rate",
      rate,
      timeUnit: "1s",
      duration,
      preAllocatedVUs: vus,
      maxVUs: vus * 8,
    },
  },
  // A dropped iteration is an arrival without a free client: the load was below RATE.
  thresholds: Object.assign({ dropped_iterations: ["count==0"] }, thresholds),
};

export default function () {
  const die = Math.random();
  if (die < 0.2) submit();
  else if (die < 0.6) rank();
  else top();
}
