package consent

// State is where a subject stands with this bridge.
type State string

// The states of safety.md 1.2. Erased is how Withdrawn ends: nothing is left but a keyed hash.
const (
	Unknown   State = "unknown"
	Invited   State = "invited"
	Refused   State = "refused"
	Pending   State = "pending"
	Granted   State = "granted"
	Paused    State = "paused"
	Withdrawn State = "withdrawn"
	Erased    State = "erased"
	Denied    State = "denied"
	Moved     State = "moved"
)

// States lists all of them.
func States() []State {
	return []State{Unknown, Invited, Refused, Pending, Granted, Paused, Withdrawn, Erased, Denied, Moved}
}

// Answer is what the evidence says. For E2 and E3 yes is getting in touch (a follow, a message) and no is a block or
// `stop`; for E5 and E6 it is what the flag or the admin says.
type Answer bool

// The two answers.
const (
	Yes Answer = true
	No  Answer = false
)

// Next is the whole transition table (R4): only E1 and E4 reach Granted, E2 and E3 reach Pending, E5 and E6 can only
// deny. It knows nothing of reasons and grants; see mayResume and settle for those.
func Next(from State, e EvidenceType, a Answer) State {
	if !e.valid() {
		return from
	}
	if a == No {
		return nextNo(from, e)
	}
	switch {
	case e == E6 && from == Denied:
		return Paused // a lifted veto never brings back a grant by itself
	case e == E5 || e == E6:
		return from
	case e.Informed():
		return nextInformedYes(from)
	}
	return nextContact(from)
}

func nextInformedYes(from State) State {
	if from == Withdrawn || from == Denied {
		return from // while erasing runs a new yes must wait; a veto is not the person's to lift
	}
	return Granted
}

func nextContact(from State) State {
	switch from {
	case Unknown, Invited, Refused, Erased:
		return Pending
	}
	return from
}

func nextNo(from State, e EvidenceType) State {
	switch from {
	case Withdrawn:
		return from
	case Granted, Paused, Moved:
		if e == E6 {
			return Denied
		}
		return Withdrawn
	case Denied:
		if e == E6 {
			return Denied
		}
		return Withdrawn
	case Refused, Erased:
		if e == E6 {
			return from // the person's own no weighs more, and outlives a lifted veto
		}
		return Refused
	}
	if e == E6 {
		return Denied
	}
	return Refused
}

// settle corrects what Next says for a subject that never had a grant: there is nothing to hide and nothing to erase.
func settle(s State, hadGrant bool) State {
	switch {
	case hadGrant:
		return s
	case s == Withdrawn:
		return Refused
	case s == Paused:
		return Unknown
	}
	return s
}
