package consent

import (
	"strconv"
	"time"
)

// Retention is one class of data and how long it is kept (R43). The bridge's upkeep enforces the table; the pages show it.
type Retention struct {
	Class string `json:"class"`
	// Days is how long; 0 means as Until says.
	Days  float64 `json:"days,omitempty"`
	Until string  `json:"until,omitempty"`
	Never bool    `json:"never,omitempty"`
	What  string  `json:"what"`
}

// Keep is the longest that a row of the class may get, 0 if it does not depend on time.
func (r Retention) Keep() time.Duration { return time.Duration(r.Days * 24 * float64(time.Hour)) }

// Term says it in words.
func (r Retention) Term() string {
	switch {
	case r.Never:
		return "never"
	case r.Days == 1:
		return "1 day"
	case r.Days > 0:
		return strconv.FormatFloat(r.Days, 'f', -1, 64) + " days"
	}
	return "until " + r.Until
}

// RetentionTable lists all classes.
func RetentionTable() []Retention {
	return []Retention{
		{Class: "documents_in_transit", Days: 7, What: "posts and other documents on their way, in jobs and inboxes"},
		{Class: "copies", Until: "the copy is deleted", What: "the copies themselves, and which original each belongs to"},
		{Class: "media_cache", Days: 7, What: "pictures and videos that were fetched to be copied"},
		{Class: "ip_addresses", Never: true, What: "network addresses of visitors and servers"},
		{Class: "message_text", Never: true, What: "messages to the bot, but for the command word"},
		{Class: "contacts", Days: 1, What: "that somebody wrote to us, by keyed hash"},
		{Class: "unbridged_interactions", Days: 1, What: "counts of what did not cross"},
		{Class: "outcomes", Days: 30, What: "what went where and what was dropped, on the member's own page"},
		{Class: "codes", Days: 7, What: "codes of notices that were not answered"},
		{Class: "pending", Days: 7, What: "contacts that were not confirmed"},
		{Class: "evidence", Days: 30, What: "signed requests and forms, sealed, counted from when the grant they stand for ends"},
		{Class: "ledger", Until: "the copies are erased; then salts and leaves are destroyed", What: "entries of the consent ledger"},
		{Class: "suppression", Until: "the bridge ends", What: "that somebody said no or left, by keyed hash and without a name"},
		{Class: "reports", Days: 90, What: "reports to moderators, counted from when they are closed"},
		{Class: "dead_letters", Days: 14, What: "work that failed for good, sealed"},
		{Class: "backups", Days: 30, What: "backups, sealed"},
	}
}
