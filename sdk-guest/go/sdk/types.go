package portcullis

import "iter"

// Phase is where in its life a call is being looked at.
type Phase uint8

const (
	// PhaseCall is before the tool runs; the payload is the arguments.
	PhaseCall Phase = iota
	// PhaseResult is after the tool ran; the payload is its output.
	PhaseResult
	// PhaseListing is a tool list on its way to the agent; the payload is the array of definitions.
	PhaseListing
	// PhaseMessage is other text on its way to the model.
	PhaseMessage
)

// String is the word used in configuration: call, result, listing or message.
func (phase Phase) String() string {
	switch phase {
	case PhaseCall:
		return "call"
	case PhaseResult:
		return "result"
	case PhaseListing:
		return "listing"
	default:
		return "message"
	}
}

// Call is one tool call, without its payload: that is read through Payload.
type Call struct {
	// UUID of the call; the same in every phase.
	ID string
	// What is being looked at.
	Phase Phase
	// Owner of the traffic.
	Tenant string
	// Who makes the call, from its credential.
	Agent string
	// The run of the agent this call belongs to; nil if there is none.
	Session *string
	// What the agent is for, from its registration or the caller; nil if nobody said.
	Persona *string
	// What the user asked for in this session; nil if it is not known.
	Task *string
	// Name of the upstream that owns the tool; nil if there is none.
	Upstream *string
	// Name of the tool.
	Tool string
	// SHA-256 of the canonical payload, 32 bytes.
	Digest []byte
}

// Payload is the payload of the call at hand. Everything is read from the host only when it is asked for.
type Payload interface {
	// Raw is the payload as JSON text, exactly as received.
	Raw() string
	// Texts is every string in the payload (member names excluded), in document order.
	Texts() []Text
	// Names is every distinct member name, decoded, in order of first appearance. A finding about a name has no span.
	Names() []string
	// Get is the JSON text at an RFC 6901 pointer, exactly as written; false if nothing is there.
	Get(pointer string) (string, bool)
}

// Text is one string of the payload, decoded.
type Text struct {
	// Index into Payload.Texts().
	Index int
	// RFC 6901 pointer of the string.
	Pointer string
	// Its decoded content.
	Value string
}

// Span is a piece of one decoded text of the payload.
type Span struct {
	// Index into Payload.Texts().
	Text int
	// First byte; must lie between two characters.
	Start int
	// One past the last byte; must lie between two characters.
	End int
}

// Span is the span of Value[start:end].
func (text Text) Span(start, end int) Span {
	return Span{text.Index, start, end}
}

// Whole is the span of the whole text.
func (text Text) Whole() Span {
	return text.Span(0, len(text.Value))
}

// Find is every occurrence of a word that does not overlap an earlier one, from left to right; ASCII letters in either case,
// all other bytes exactly. An empty word is nowhere.
func (text Text) Find(word string) iter.Seq[Span] {
	return func(yield func(Span) bool) {
		for at, end := 0, 0; ; at = end {
			if at, end = find(text.Value, word, at); at < 0 || !yield(text.Span(at, end)) {
				return
			}
		}
	}
}

// small has the small letter of every ASCII letter, and every other byte as it is.
var small = func() (table [256]byte) {
	for one := range table {
		table[one] = byte(one)
		if 'A' <= one && one <= 'Z' {
			table[one] += 'a' - 'A'
		}
	}
	return table
}()

// find is where a word begins and ends in a text, from a place on; below zero if it is not there.
//
// It looks at the last byte of where the word could be, and goes on as far as that byte allows: R. N. Horspool, Practical fast
// searching in strings, 1980.
func find(text, word string, from int) (int, int) {
	size := len(word)
	if size == 0 || len(text)-from < size {
		return -1, -1
	}
	// How far to go on for a last byte. A byte that is nowhere in the word allows the whole of it.
	var next [256]uint8
	step := uint8(min(size, 255))
	short := len(text)-from < 1024
	if !short {
		for one := range next {
			next[one] = step
		}
		for index := max(0, size-int(step)); index < size-1; index++ {
			one := small[word[index]]
			next[one] = uint8(size - 1 - index)
			if 'a' <= one && one <= 'z' {
				next[one-('a'-'A')] = next[one]
			}
		}
	}
	last := small[word[size-1]]
	for at := from; at+size <= len(text); {
		one := text[at+size-1]
		if small[one] == last && same(text[at:at+size], word) {
			return at, at + size
		}
		if short {
			at++
		} else {
			at += int(next[one])
		}
	}
	return -1, -1
}

// same tells whether two texts of the same length are the same but for the case of ASCII letters.
func same(one, other string) bool {
	for index := range len(one) {
		if small[one[index]] != small[other[index]] {
			return false
		}
	}
	return true
}

// Finding is what a detector saw.
type Finding struct {
	// Dotted category, for instance injection.override or secret.token.
	Category string
	// Calibrated confidence, 0 to 1; brought into that range, and not-a-number becomes 0.
	Score float32
	// One sentence for the person who decides. Never quote the payload: messages are logged.
	Message string
	// Where; empty if the finding is about the whole payload.
	Spans []Span
}

// AttributedFinding is a finding of an earlier plugin, as a rule or router sees it.
type AttributedFinding struct {
	// Name of the plugin in the pipeline.
	Plugin string
	// What it saw.
	Finding
}

// Reason says why, for programs and for people.
type Reason struct {
	// Stable, lower case, at most 64 bytes, for instance destructive_command.
	Code string
	// One sentence for people.
	Message string
}

// Replacement is text to put in place of a span.
type Replacement struct {
	// What is replaced.
	Span Span
	// With what, as decoded text.
	Value string
}

// Decision is the word of a verdict. Its zero value is none of them, and an error.
type Decision uint8

const (
	// DecisionAllow has nothing against the call.
	DecisionAllow Decision = iota + 1
	// DecisionRedact forwards with replacements.
	DecisionRedact
	// DecisionReview lets a person decide.
	DecisionReview
	// DecisionDeny refuses.
	DecisionDeny
)

// Verdict is what a rule decides. The host merges the answers of all rules: deny, then review, then redact, then allow.
type Verdict struct {
	// What.
	Decision Decision
	// Why; not for DecisionAllow.
	Reasons []Reason
	// What is put in place, for DecisionRedact; the host joins those that overlap.
	Replacements []Replacement
}

// Allow has nothing against the call.
func Allow() Verdict {
	return Verdict{Decision: DecisionAllow}
}

// Redact forwards with replacements, for one reason.
func Redact(replacements []Replacement, code, message string) Verdict {
	return Verdict{DecisionRedact, []Reason{{code, message}}, replacements}
}

// Review lets a person decide, for one reason.
func Review(code, message string) Verdict {
	return Verdict{Decision: DecisionReview, Reasons: []Reason{{code, message}}}
}

// Deny refuses, for one reason.
func Deny(code, message string) Verdict {
	return Verdict{Decision: DecisionDeny, Reasons: []Reason{{code, message}}}
}

// Approver is somebody who may decide: Role or Operator makes one.
type Approver struct {
	// Exactly one of them is given.
	Role, Operator string
}

// Role is any operator with this role.
func Role(name string) Approver {
	return Approver{Role: name}
}

// Operator is this operator.
func Operator(name string) Approver {
	return Approver{Operator: name}
}

// Step asks others, too, after a while without a decision.
type Step struct {
	// Counted from the moment the call was parked.
	AfterSeconds uint32
	// Who is asked.
	Approvers []Approver
	// Through which channels.
	Channels []string
}

// Plan says who decides, how many, until when, told where.
type Plan struct {
	// Who may decide; at least one.
	Approvers []Approver
	// How many must approve; at least 1. One refusal refuses.
	Quorum uint32
	// After this long without a decision the call is denied; at least 1.
	DeadlineSeconds uint32
	// Through which channels they are told.
	Channels []string
	// Who is asked later.
	Escalation []Step
	// What the approver reads first.
	Summary string
	// Whether arguments may be changed before release.
	MayModify bool
}
