// Knows when tasks began and when their hosts were done, from what the server has recorded of the tasks. Reads no log.

const RESULT = /^(?:ok|changed|skipping|failed|fatal|rescued|ignored|unreachable): \[([^\]\s]+)/;

const MOST_PAGES = 20;

export class Times {
  constructor(url) {
    this.url = url;
    this.groups = [];
    // By the line of a section's header: its group.
    this.known = new Map();
    this.next = { section: 0, group: 0 };
  }

  /** Reads all that is known now. */
  async load() {
    const results = [];
    let cursor = "";
    for (let page = 0; page < MOST_PAGES; page += 1) {
      const answer = await fetch(`${this.url}&limit=500${cursor && `&cursor=${cursor}`}`);
      if (!answer.ok) return;
      const { items, next_cursor: next } = await answer.json();
      results.push(...items);
      if (!next) break;
      cursor = encodeURIComponent(next);
    }
    this.groups = grouped(results);
    this.known.clear();
    this.next = { section: 0, group: 0 };
  }

  /** Finds the tasks of sections that have none yet. A task that showed nothing has no section. */
  match(sections) {
    const { next } = this;
    for (; next.section < sections.length; next.section += 1) {
      const section = sections[next.section];
      if (section.kind !== "task") continue;
      let index = next.group;
      while (index < this.groups.length && !isNamed(this.groups[index].task, section.name)) index += 1;
      if (index === this.groups.length) continue;
      this.known.set(section.line, this.groups[index]);
      next.group = index + 1;
    }
  }

  /** When a line was said, as far as that is known: milliseconds since 1970, or nothing. */
  of(line, section, text) {
    const group = section && this.known.get(section.line);
    if (!group) return undefined;
    if (line === section.line) return group.began;
    const host = RESULT.exec(text)?.[1];
    return host && group.done.get(host);
  }
}

function grouped(results) {
  const groups = [];
  for (const { play, task, path, host, started_at: startedAt, seconds } of results) {
    const began = Date.parse(startedAt);
    let group = groups.at(-1);
    if (!group || group.play !== play || group.task !== task || group.path !== path) {
      group = { play, task, path, began, done: new Map() };
      groups.push(group);
    }
    group.began = Math.min(group.began, began);
    group.done.set(host, began + seconds * 1000);
  }
  return groups;
}

// Ansible puts the role's name before a task's in the one place and not in the other.
function isNamed(task, name) {
  return task === name || name.endsWith(` : ${task}`) || task.endsWith(` : ${name}`);
}
