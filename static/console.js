// What every page does once it is there. Without it, pages work all the same.
import { keys } from "./keys.js";
import { live } from "./live.js";
import { once } from "./once.js";
import { localTimes } from "./times.js";

localTimes(document);
once(document);
keys();
live();
