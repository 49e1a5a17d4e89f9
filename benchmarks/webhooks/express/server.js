// The design that the gateway replaces: the newest open session is found, changed and saved, then the message.
// One process. Two texts of one sender at the same moment may open two sessions, or count as one.

const express = require("express");
const mongoose = require("mongoose");
const twilio = require("twilio");

const IDLE_MS = 300_000;

const Session = mongoose.model("Session", new mongoose.Schema({
  sender: String,
  channel: String,
  status: { type: String, default: "active" },
  message_count: { type: Number, default: 0 },
  last_message_at: Date,
}, { timestamps: true }).index({ sender: 1, channel: 1, status: 1 }));

const Message = mongoose.model("Message", new mongoose.Schema({
  _id: String,
  session_id: { type: mongoose.Schema.Types.ObjectId, ref: "Session" },
  direction: String,
  sender: String,
  content: String,
  metadata: Object,
}, { timestamps: true }));

const app = express();
app.use(express.urlencoded({ extended: false }));

app.post("/webhooks/sms", twilio.webhook({ protocol: "http" }), async (request, response) => {
  const form = request.body, now = new Date();
  const open = { sender: form.From, channel: form.To, status: "active" };
  let session = await Session.findOne(open).sort({ last_message_at: -1 });
  if (session && now - session.last_message_at > IDLE_MS) {
    session.status = "closed";
    await session.save();
    session = null;
  }
  session ??= new Session(open);
  session.message_count += 1;
  session.last_message_at = now;
  await session.save();
  await new Message({
    _id: form.MessageSid,
    session_id: session._id,
    direction: "inbound",
    sender: form.From,
    content: form.Body,
    metadata: form,
  }).save();
  response.type("text/xml").send(new twilio.twiml.MessagingResponse().toString());
});

app.get("/healthz", (_request, response) => response.send("ok"));

async function main() {
  await mongoose.connect(process.env.MONGODB_URI);
  await Session.init();
  app.listen(Number(process.env.PORT), "127.0.0.1");
}

main();
