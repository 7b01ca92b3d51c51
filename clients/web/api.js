// The JSON calls. A reply always has an `error`: 0, one of the contract's numbers, an HTTP status, or UNREACHABLE.
const UNREACHABLE = -1;

async function call(route, body, token) {
  const headers = { "Content-Type": "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  try {
    const reply = await fetch(route, { method: "POST", headers, body: JSON.stringify(body), signal: AbortSignal.timeout(40000) });
    return await reply.json();
  } catch {
    return { error: UNREACHABLE };
  }
}

// What a reply says, in the page's language where the table has it.
function explain({ error, message = "", retry_after: seconds }) {
  if (error === UNREACHABLE) return ["unreachable"];
  if (error === 1011) return ["e1011", seconds ?? 60];
  if (error === 429 || error === 503) return ["busy", seconds ?? 2];
  return word(`e${error}`) ? [`e${error}`, message] : message;
}

async function fetchStatus() {
  try {
    return await (await fetch("/status", { signal: AbortSignal.timeout(20000) })).json();
  } catch {
    return {};
  }
}
