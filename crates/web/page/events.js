// Server-sent events, read from a response's body: `EventSource` cannot send the token. No document, no server.

/** The server sends a comment every 15 s, so a stream that is silent for longer is dead. */
export const MAX_SILENCE_MILLIS = 45_000;

/** Cuts text into events, wherever it is cut into parts. Keeps their data alone: the server uses no other field. */
export class EventParser {
  #line = '';
  /** Lines of data of the event that is not complete yet. */
  #data = [];
  #endedWithReturn = false;

  /** Returns the data of each event that this text completes. */
  push(text) {
    const events = [];
    // The second half of a `\r\n` that was cut in two ends no other line.
    const rest = this.#endedWithReturn && text.startsWith('\n') ? text.slice(1) : text;
    if (text) this.#endedWithReturn = text.endsWith('\r');
    const lines = (this.#line + rest).split(/\r\n|\n|\r/);
    this.#line = lines.pop();
    for (const line of lines) {
      if (line) this.#readLine(line);
      else if (this.#data.length) {
        events.push(this.#data.join('\n'));
        this.#data = [];
      }
    }
    return events;
  }

  /** Reads `name: value`. A line that begins with a colon is a comment, which is a field without a name. */
  #readLine(line) {
    const [, name, value] = /^([^:]*)(?:: ?)?(.*)$/s.exec(line);
    if (name === 'data') this.#data.push(value);
  }
}

/**
 * Reads a body until it ends, and calls `onEvents` with the data of the events in each chunk, which may be none. Fails
 * if the body is silent for too long.
 */
export async function readEvents(body, onEvents) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = new EventParser();
  let timer = 0;
  const silence = () => new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('the server sends nothing')), MAX_SILENCE_MILLIS);
  });
  try {
    for (;;) {
      const chunk = reader.read().catch(() => { throw new Error('the connection was lost'); });
      const { done, value } = await Promise.race([chunk, silence()]);
      clearTimeout(timer);
      if (done) return;
      onEvents(parser.push(decoder.decode(value, { stream: true })));
    }
  } finally {
    clearTimeout(timer);
    // A body that failed cannot be cancelled, which is no fault.
    reader.cancel().catch(() => {});
  }
}
