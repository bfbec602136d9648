// How a person has wanted logs to be shown, for the next one.

// A browser may forbid to keep anything.
export function keep(name, value) {
  try {
    localStorage.setItem(`healgate.log.${name}`, String(value));
  } catch {
    // It is asked for again next time.
  }
}

export function kept(name) {
  try {
    const value = localStorage.getItem(`healgate.log.${name}`);
    return value === null ? undefined : value === "true";
  } catch {
    return undefined;
  }
}
