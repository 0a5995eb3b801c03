// Plugin of one launch of OpenCode (1.18.33): it drops hooks into TACO's spool, and keeps a transcript beside it, both in
// the words of Claude Code's (taco.hooks, taco.transcript). It tells OpenCode nothing, and what fails in it stays in it.
//
// Options: spool, transcripts (directories), source ("startup" or "resume"), session (id of the conversation that goes
// on), allow (commands that need no permission).
import fs from "node:fs"
import path from "node:path"

const ASKED = { bash: "Bash", edit: "Edit", read: "Read", webfetch: "WebFetch" } // in the words of a person's rules
const FULL = "ContextOverflowError"
const NAMED = { [FULL]: "context_full", ProviderAuthError: "authentication_failed" }
const REFUSED = {
  401: "authentication_failed",
  402: "billing_error",
  403: "authentication_failed",
  404: "model_not_found",
  429: "rate_limit",
  503: "overloaded",
  529: "overloaded",
}
const PANE = Number(process.env.TACO_PID) // of the pane, where a launcher stands between
const PID = PANE === process.ppid ? PANE : process.pid
let sequence = 0

function drop(spool, event, data) {
  const at = BigInt(Date.now()) * 1000000n + BigInt(sequence++ % 1000000) // in the order of the calls
  const name = path.join(spool, `${at}-${PID}-${event}`)
  fs.writeFileSync(`${name}.tmp`, JSON.stringify(data), { mode: 0o600 })
  fs.renameSync(`${name}.tmp`, `${name}.json`)
}

// The person's rules for commands with TACO's own behind them: the last one that fits counts. Without a rule every
// command is allowed; what is written to a file is asked as ever.
function allowed(permission, commands) {
  const rules = typeof permission === "string" ? { "*": permission } : (permission ?? {})
  const bash = rules.bash ?? rules["*"] ?? "allow"
  if (bash === "allow") return permission
  const all = typeof bash === "string" ? { "*": bash } : { ...bash }
  const own = ["taco *>*", ...commands.flatMap((each) => [each, `${each} *`])]
  for (const each of own) delete all[each]
  for (const each of own.slice(1)) all[each] = "allow"
  all["taco *>*"] = all["*"] ?? rules["*"] ?? "ask"
  return { ...rules, bash: all }
}

function given(permission, metadata) {
  if (permission === "bash") return { command: metadata.command, description: metadata.description }
  return { file_path: metadata.filepath ?? metadata.filePath, url: metadata.url }
}

// What a turn was refused with, in the words of the hook.
function refusal(error) {
  const { statusCode = 500, message = "" } = error?.data ?? {}
  const other = statusCode < 500 ? "other" : "server_error"
  return { error: NAMED[error?.name] ?? REFUSED[statusCode] ?? other, last_assistant_message: message }
}

class Conversation {
  constructor(options) {
    this.options = options
    this.id = options.session ?? "" // of the one that the person sees
    this.children = new Set() // of subagents: their turns are parts of its own
    this.roles = new Map() // of messages
    this.texts = new Map() // of an answer, by its parts
    this.opened = new Set()
    this.busy = false
    this.failed = false
    this.last = ""
  }

  drop(event, data) {
    drop(this.options.spool, event, { session_id: this.id, transcript_path: this.transcript(), ...data })
  }

  transcript() {
    return path.join(this.options.transcripts, `${this.id}.jsonl`)
  }

  write(record) {
    fs.mkdirSync(this.options.transcripts, { recursive: true, mode: 0o700 })
    const line = JSON.stringify({ ...record, timestamp: new Date().toISOString() })
    fs.appendFileSync(this.transcript(), `${line}\n`, { mode: 0o600 })
  }

  submitted(sessionID, parts) {
    if (this.children.has(sessionID)) return
    this.id = sessionID
    this.busy = true
    this.failed = false
    const texts = parts.filter((each) => each.type === "text" && !each.synthetic).map((each) => each.text)
    this.drop("UserPromptSubmit", { prompt: texts.join("\n") })
  }

  heard(type, data) {
    const info = data.info ?? {}
    if (type === "session.created" || type === "session.updated") {
      if (info.parentID) this.children.add(info.id)
      return
    }
    const session = data.sessionID ?? info.sessionID
    if (this.children.has(session)) return this.heardOfChild(type, info)
    if (session !== this.id) return
    if (type === "message.updated") this.message(info)
    if (type === "message.part.updated") this.part(data.part)
    if (type === "session.status" && data.status.type !== "idle") this.works()
    if (type === "session.idle") this.rests()
    if (type === "session.error") this.fails(data.error)
    if (type === "permission.replied") this.drop("PostToolUse", {})
    if (type === "permission.asked") this.asks(data)
  }

  heardOfChild(type, info) {
    if (type !== "message.updated" || info.role !== "assistant" || !info.time?.completed) return
    this.write({ type: "assistant", isSidechain: true, message: { id: info.id, usage: usage(info.tokens) } })
  }

  asks(data) {
    const tool = ASKED[data.permission] ?? data.permission
    this.drop("PermissionRequest", { tool_name: tool, tool_input: given(data.permission, data.metadata ?? {}) })
  }

  works() {
    if (!this.busy) this.drop("PreToolUse", {})
    this.busy = true
  }

  rests() {
    if (!this.busy) return
    this.busy = false
    this.write({ type: "system", subtype: "turn_duration" })
    if (!this.failed) this.drop("Stop", { last_assistant_message: this.last })
    this.texts.clear()
  }

  fails(error) {
    if (error?.name === "MessageAbortedError") return // the person's will
    if (error?.name === FULL) return // it makes the conversation shorter and goes on; where not, a message says so
    this.failed = true
    this.drop("StopFailure", refusal(error))
  }

  message(info) {
    this.roles.set(info.id, info.role)
    if (info.role !== "assistant") return
    const text = [...(this.texts.get(info.id)?.values() ?? [])].join("\n")
    if (info.time?.completed) {
      const reason = info.finish === "tool-calls" ? "tool_use" : "end_turn"
      const message = { id: info.id, content: text, stop_reason: reason, usage: usage(info.tokens) }
      this.write({ type: "assistant", message })
      if (text) this.last = text
      if (info.error?.name === FULL) {
        this.failed = true
        this.drop("StopFailure", refusal(info.error))
      }
    } else if (!this.opened.has(info.id)) {
      this.opened.add(info.id)
      this.write({ type: "assistant", message: { id: info.id, content: "", stop_reason: null } })
    }
  }

  part(part) {
    if (part.type !== "text" || part.synthetic) return
    if (this.roles.get(part.messageID) === "user") {
      if (this.opened.has(part.id)) return
      this.opened.add(part.id)
      this.write({ type: "user", message: { id: part.messageID, content: part.text } })
    } else if (part.time?.end) {
      const parts = this.texts.get(part.messageID) ?? new Map()
      this.texts.set(part.messageID, parts.set(part.id, part.text))
    }
  }
}

function usage(tokens) {
  const { input = 0, output = 0, reasoning = 0, cache = {} } = tokens ?? {}
  return { input_tokens: input, output_tokens: output + reasoning, cache_creation_input_tokens: cache.write ?? 0 }
}

function quietly(task) {
  try {
    task()
  } catch {
    // the screen and the pane tell what is lost here
  }
}

export const Taco = async (_context, options) => {
  const conversation = new Conversation(options)
  return {
    config: async (config) => {
      quietly(() => {
        config.permission = allowed(config.permission, options.allow)
        if (config.permission === undefined) delete config.permission
        conversation.drop("SessionStart", { source: options.source })
      })
    },
    "chat.message": async (input, output) => quietly(() => conversation.submitted(input.sessionID, output.parts)),
    event: async ({ event }) => quietly(() => conversation.heard(event.type, event.properties ?? {})),
    // Another OpenCode that a tool of this one starts is not this agent.
    "shell.env": async (_input, output) => quietly(() => (output.env.OPENCODE_CONFIG_CONTENT = options.given ?? "")),
  }
}
