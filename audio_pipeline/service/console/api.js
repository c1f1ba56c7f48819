// The REST interface: `docs/service.md`. Every failure is an ApiError with one sentence to show.

export class ApiError extends Error {
  /**
   * @param {number} status of HTTP; 0: nothing answered
   * @param {{message?: string, code?: string, where?: string} & Record<string, any>} error
   * @param {number | null} retryAfterS
   */
  constructor(status, error, retryAfterS = null) {
    super(error.message ?? `the service answered ${status}`);
    this.name = "ApiError";
    this.status = status;
    this.code = error.code ?? "";
    this.where = error.where ?? "";
    this.details = error;
    this.retryAfterS = retryAfterS;
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @param {{json?: unknown, body?: Blob, signal?: AbortSignal}} [content]
 * @returns {Promise<any>} null where the answer has no content
 */
export async function request(method, path, { json, body, signal } = {}) {
  const type = body ? "application/octet-stream" : "application/json";
  const headers = method === "GET" ? undefined : { "Content-Type": type };
  const content = body ?? (method === "GET" ? undefined : JSON.stringify(json ?? {}));
  const response = await answered(fetch(path, { method, headers, body: content, signal, credentials: "same-origin" }));
  if (!response.ok) throw await failure(response);
  return response.status === 204 ? null : response.json();
}

/** @param {Promise<Response>} fetched */
async function answered(fetched) {
  try {
    return await fetched;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, { message: "The service does not answer. It may be restarting.", code: "unreachable" });
  }
}

/** @param {Response} response */
async function failure(response) {
  const text = await response.text();
  const seconds = Number(response.headers.get("Retry-After"));
  return new ApiError(response.status, errorOf(text), seconds > 0 ? seconds : null);
}

/** @param {string} text */
function errorOf(text) {
  try {
    const { error } = JSON.parse(text);
    return typeof error === "object" && error !== null ? error : {};
  } catch {
    return {};
  }
}

/** @param {string} id */
const session = (id) => `/v1/sessions/${encodeURIComponent(id)}`;

/**
 * @param {string} id
 * @param {string} take
 */
const takePath = (id, take) => `${session(id)}/takes/${encodeURIComponent(take)}`;

export const api = {
  /** @param {string} token */
  login: (token) => request("POST", "/v1/login", { json: { token } }),
  logout: () => request("POST", "/v1/logout"),
  me: () => request("GET", "/v1/me"),
  configs: () => request("GET", "/v1/configs"),
  files: () => request("GET", "/v1/files"),
  /**
   * @param {File} file
   * @param {AbortSignal} [signal]
   */
  upload: (file, signal) => request("POST", `/v1/files?name=${encodeURIComponent(file.name)}`, { body: file, signal }),
  /** @param {string} id */
  deleteFile: (id) => request("DELETE", `/v1/files/${encodeURIComponent(id)}`),
  sessions: () => request("GET", "/v1/sessions"),
  /** @param {{config: string, set?: Record<string, any>, label?: string}} terms */
  createSession: (terms) => request("POST", "/v1/sessions", { json: terms }),
  /** @param {string} id */
  session: (id) => request("GET", session(id)),
  /** @param {string} id */
  endSession: (id) => request("DELETE", session(id)),
  /**
   * @param {string} id
   * @param {Record<string, any>} values
   */
  set: (id, values) => request("PATCH", session(id), { json: { set: values } }),
  /**
   * @param {string} id
   * @param {Record<string, any>} command
   */
  transport: (id, command) => request("POST", `${session(id)}/transport`, { json: command }),
  /**
   * @param {string} id
   * @param {boolean} on
   */
  record: (id, on) => request("POST", `${session(id)}/record`, { json: { on } }),
  /** @param {string} id */
  takes: (id) => request("GET", `${session(id)}/takes`),
  /**
   * @param {string} id
   * @param {string} take
   */
  deleteTake: (id, take) => request("DELETE", takePath(id, take)),
  /**
   * @param {string} id
   * @param {string} take
   * @param {string} track
   */
  trackUrl: (id, take, track) => `${takePath(id, take)}/tracks/${encodeURIComponent(track)}`,
  host: () => request("GET", "/v1/host"),
};
