"""All checks, in the order they are shown: a new one is a function and a row here."""

from gateway.conversation.doctor import account, arriving, configured, database, public_url, reported, spooling, working
from gateway.conversation.doctor.findings import Check

MONGODB, TWILIO = ("mongodb",), ("twilio",)

# Numbers are pointed at an address that was proved, and what stood there is written down first.
SOUND = (*MONGODB, "public url")

CHECKS = (
    Check("settings", "Settings", configured.settings_are_valid),
    Check("mongodb", "MongoDB", database.mongodb_answers),
    Check("indexes", "MongoDB", database.indexes_are_there, MONGODB),
    Check("migrations", "MongoDB", database.documents_are_of_this_version, MONGODB),
    Check("spool", "At work", spooling.spool_keeps),
    Check("processes", "At work", working.processes_are_there, MONGODB),
    Check("outbox", "At work", working.outbox_is_worked_off, MONGODB),
    Check("broker", "At work", working.broker_carries),
    Check("public url", "Webhooks", public_url.webhooks_arrive, after=MONGODB),
    Check("last webhook", "Webhooks", arriving.webhooks_came, MONGODB),
    Check("refused", "Webhooks", arriving.webhooks_are_taken, MONGODB),
    Check("twilio", "Twilio", account.account_is_known),
    Check("numbers", "Twilio", account.numbers_lead_here, TWILIO, after=SOUND),
    Check("known numbers", "Twilio", account.known_numbers_are_ours, (*TWILIO, *MONGODB)),
    Check("whatsapp senders", "Twilio", account.senders_lead_here, TWILIO, after=SOUND),
    Check("messaging services", "Twilio", account.services_defer, TWILIO, after=MONGODB),
    Check("error log", "Twilio", reported.twilio_reports_nothing, TWILIO, after=MONGODB),
)
