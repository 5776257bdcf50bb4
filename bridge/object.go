package bridge

import (
	"errors"
	"time"

	"footbridge/identity"
)

// ErrNoObject says that an id is not in the object map.
var ErrNoObject = errors.New("not in the object map")

// Object is one row of the object map: a thing that exists, or existed, on both networks. Ids on both sides are unique.
type Object struct {
	// APID is the ActivityPub id, native or computed.
	APID string
	// Part counts the parts of a long post published as a thread, from 0.
	Part int
	// URI and CID are the record's.
	URI, CID string
	// Native is where the original lives.
	Native identity.Network
	// Subject owns it.
	Subject identity.Subject
	// Kind is post, like, repost, follow, block, profile, threadgate, postgate, event, article.
	Kind string
	// Target is the id, on the native side, of what it acts on: the parent of a reply, the liked post, the followed account.
	Target string
	// Ledger is the entry of the consent ledger that the copy relied on (R25).
	Ledger int64
	// Body is the stored AS2 document for things that this bridge serves; nil otherwise.
	Body []byte
	// Record is the AT native's record as it was bridged: its delete needs to know what it was.
	Record []byte
	// Version is the date of the source's version, so that one that is overtaken on the way does not come back.
	Version string
	// Created and Updated are when the copy was; Deleted is zero while it lives. A deleted row stays as a tombstone, so
	// that a late create is refused (R30).
	Created, Updated, Deleted time.Time
}

// ObjectTx is the object map, what was seen, and small facts.
type ObjectTx interface {
	// Seen records an id and reports whether it is new.
	Seen(id string) (fresh bool, err error)
	// SweepSeen forgets what was seen before t.
	SweepSeen(t time.Time) error
	// AccountByURL finds an account by its page for people; ErrNotFound if there is none.
	AccountByURL(url string) (*identity.Account, error)
	// ObjectsByAPID gives all parts in order; empty if none.
	ObjectsByAPID(apid string) ([]Object, error)
	// ObjectByURI returns ErrNoObject if there is none.
	ObjectByURI(uri string) (*Object, error)
	// PutObject inserts or replaces the row of (APID, Part).
	PutObject(Object) error
	// TombstoneObject marks all parts deleted and forgets their bodies; a tombstone is made if there is no row.
	TombstoneObject(apid, uri string, subject identity.Subject) error
	// ForgetObject deletes the row of one part.
	ForgetObject(apid string, part int) error
	// ObjectsOf lists the living objects of a subject, newest first, created before the time given (zero for now).
	ObjectsOf(subject identity.Subject, before time.Time, limit int) ([]Object, error)
	// ObjectsOfKind is ObjectsOf for one kind.
	ObjectsOfKind(subject identity.Subject, kind string, before time.Time, limit int) ([]Object, error)
	// ObjectsAt lists the living objects that act on a target.
	ObjectsAt(target, kind string, limit int) ([]Object, error)
	// ObjectPaths maps the record path of each living AT native object of a subject (collection/rkey) to its CID.
	ObjectPaths(subject identity.Subject) (map[string]string, error)
	// CountObjects counts the living objects of a kind, of everybody.
	CountObjects(kind string) (int, error)
	// ForgetObjects deletes every row of a subject, tombstones included, leaving nothing.
	ForgetObjects(subject identity.Subject) error
	// Setting and PutSetting keep small facts; a missing one is nil, and nil deletes.
	Setting(name string) ([]byte, error)
	PutSetting(name string, value []byte) error
	// PutMessage keeps the body of an outgoing activity once for all its deliveries; Message is nil when it is gone.
	PutMessage(id string, subject identity.Subject, body []byte) error
	Message(id string) ([]byte, error)
	// ForgetMessage deletes one body; ForgetMessagesWith those that hold a text.
	ForgetMessage(id string) error
	ForgetMessagesWith(text string) error
	// BuryObjects turns at most limit rows of a subject into entries of the table of what is gone, by the name that their
	// APID gets, and returns how many it found. Gone and IsGone add to that table and ask it; SweepGone forgets.
	BuryObjects(subject identity.Subject, limit int, name func(apid string) string) (int, error)
	Gone(name string) error
	IsGone(name string) (bool, error)
	SweepGone(before time.Time) error
	// DeliveredMove puts another inbox in the place of one, in all the lists of where something went.
	DeliveredMove(from, to string) error
	// DropMessages forgets the bodies of a subject, or those older than the time if the subject is empty.
	DropMessages(subject identity.Subject, before time.Time) error
	// PendingJobs counts the waiting jobs of a kind that are about a subject.
	PendingJobs(subject, kind string) (int, error)
	// PutOutcome keeps what became of a person's thing, for their own page.
	PutOutcome(o Outcome) error
	// Outcomes lists them newest first.
	Outcomes(subject identity.Subject, limit int) ([]Outcome, error)
}

// Outcome is what became of one event of a person: exactly one name, and a reason where it was not carried.
type Outcome struct {
	Subject identity.Subject
	// Source is the id of the thing, on its own network; it is the person's own.
	Source    string
	Kind      string
	Direction string // ap>at or at>ap
	Result    string // bridged, dropped, snoozed, retried, dead
	Reason    string
	At        time.Time
}
