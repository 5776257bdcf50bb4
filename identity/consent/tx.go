package consent

import (
	"errors"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"footbridge/identity"
)

// ErrNone says that a row is not there.
var ErrNone = errors.New("no such row")

// Pseudonym is the keyed hash of a canonical subject id: what the ledger and the suppression list know of a person.
type Pseudonym string

// Row is where one subject stands; it always equals the fold of that subject's ledger entries. Subjects that refused or
// were erased have no row, only a Suppression.
type Row struct {
	Subject identity.Subject
	Who     Pseudonym
	State   State
	Reason  Reason
	Scopes  []Scope
	Options Options
	// Needs and Forbid come from the signals of the profile.
	Needs, Forbid []Scope
	// Policy is the version that the grant was made under.
	Policy int64
	Lang   string
	// Ledger is the entry in force: the one that last changed anything. Grant is the one of the last informed yes, -1
	// if there was none.
	Ledger, Grant int64
	// Epoch is Ledger+1: it rises with every entry and never starts again. Incarnation rises with a grant after an
	// erasure.
	Epoch, Incarnation int64
	// Since is when the state began; Granted when the last informed yes came; Expires ends the grant; EraseAt turns a
	// pause into a withdrawal. Zero means never.
	Since, Granted, Expires, EraseAt time.Time
	// Reminded counts the reminders before expiry that were sent.
	Reminded int64
	// Due is the next moment at which time alone changes something; the desk sets it.
	Due time.Time
}

// Suppression keeps a no, or an end, without the name (R16).
type Suppression struct {
	Who                 Pseudonym
	State               State
	Reason              Reason
	Ledger, Incarnation int64
	At                  time.Time
}

// Entry is one leaf of the ledger. Salt and Leaf are nil once shredded.
type Entry struct {
	Index int64
	Who   Pseudonym // empty once shredded
	Salt  []byte
	Leaf  []byte
}

// StoredEvidence is what one ledger entry stands on, sealed. Raw is nil when its time is over; the hash is in the leaf.
type StoredEvidence struct {
	Index  int64
	Who    Pseudonym
	Type   EvidenceType
	Sealed []byte
	// Until is when the sealed bytes are dropped; zero while the entry is in force.
	Until time.Time
}

// Code is what a notice asks to be repeated. Only its hash is kept.
type Code struct {
	Subject  identity.Subject
	Hash     string
	TextHash string
	Lang     string
	Needs    []Scope
	Issued   time.Time
	Expires  time.Time
}

// Link is a bearer link of one purpose, hashed at rest.
type Link struct {
	Hash    string
	Subject identity.Subject
	Purpose string
	Expires time.Time
}

// Invitation is the one that a target ever gets.
type Invitation struct {
	Target, Requester Pseudonym
	At                time.Time
}

// SignedSize is the signed checkpoint of one size of the ledger.
type SignedSize struct {
	Size int64
	Note string
}

// Tx is what the store's transaction offers this room. Look-ups of one row return ErrNone when there is none.
type Tx interface {
	Now() time.Time

	ConsentRow(identity.Subject) (*Row, error)
	PutConsentRow(*Row) error
	DeleteConsentRow(identity.Subject) error
	// ConsentRows lists in order of subject, after the one given.
	ConsentRows(after identity.Subject, limit int) ([]*Row, error)
	// ConsentDue lists rows whose Due has come, oldest first.
	ConsentDue(now time.Time, limit int) ([]*Row, error)
	// ConsentCounts counts rows by state.
	ConsentCounts() (map[State]int64, error)

	ConsentSuppression(Pseudonym) (*Suppression, error)
	PutConsentSuppression(*Suppression) error
	DeleteConsentSuppression(Pseudonym) error
	ConsentSuppressions(after Pseudonym, limit int) ([]*Suppression, error)

	ConsentCode(identity.Subject) (*Code, error)
	PutConsentCode(*Code) error
	DeleteConsentCode(identity.Subject) error
	ConsentLink(hash string) (*Link, error)
	PutConsentLink(*Link) error
	DeleteConsentLinks(identity.Subject) error
	// ConsentText and PutConsentText keep the notices as shown, by hash.
	ConsentText(hash string) (lang, text string, err error)
	PutConsentText(hash, lang, text string) error

	ConsentContact(Pseudonym) (time.Time, error)
	PutConsentContact(Pseudonym, time.Time) error
	ConsentInvitation(target Pseudonym) (*Invitation, error)
	PutConsentInvitation(*Invitation) error
	// ConsentInvitedSince counts invitations, of one requester or, if empty, of all.
	ConsentInvitedSince(requester Pseudonym, since time.Time) (int64, error)
	// ConsentSwitch keeps bridge-wide switches (halt); empty is off.
	ConsentSwitch(name string) (string, error)
	PutConsentSwitch(name, value string) error
	// ConsentSweep drops rows that are older than their class allows: codes, links, contacts, raw evidence.
	ConsentSweep(now time.Time) (int64, error)

	LedgerSize() (int64, error)
	// LedgerAppend stores an entry at Index == LedgerSize, with the tree hashes that it completes.
	LedgerAppend(e *Entry, hashes []tlog.Hash) error
	LedgerHashes(indexes []int64) ([]tlog.Hash, error)
	// LedgerHashCount is how many tree hashes there are.
	LedgerHashCount() (int64, error)
	LedgerEntries(from int64, limit int) ([]*Entry, error)
	LedgerEntriesOf(Pseudonym) ([]*Entry, error)
	// LedgerShred destroys salt, leaf and pseudonym of entries, but leaves the tree.
	LedgerShred(indexes []int64) error
	// LedgerCheckpoints lists the signed checkpoints in order of size, after the one given.
	LedgerCheckpoints(after int64, limit int) ([]SignedSize, error)
	PutLedgerCheckpoint(size int64, note string) error

	EvidenceByIndex(int64) (*StoredEvidence, error)
	// EvidenceRows lists in order of index, from the one given.
	EvidenceRows(from int64, limit int) ([]*StoredEvidence, error)
	PutEvidence(*StoredEvidence) error
	// EvidenceExpire sets Until on everything of a pseudonym that has none yet, but for the index given.
	EvidenceExpire(who Pseudonym, keep int64, until time.Time) error
	EvidenceForget(Pseudonym) error
}
