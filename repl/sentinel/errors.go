package sentinel

import "errors"

// Errors of a failover that has promoted nobody. [Sentinel.Failover] and [Sentinel.Handover]
// return these, and events carry them.
var (
	// ErrInProgress is returned while another failover, or a handover, is under way. Redis says
	// INPROG.
	ErrInProgress = errors.New("sentinel: INPROG: a failover is under way")

	// ErrNoMaster is returned before the sentinel has found a master, and by [Resolve] when
	// no sentinel that answers has. Wait, or add an address to Options.Monitor at which a
	// node answers.
	ErrNoMaster = errors.New("sentinel: no master is known")

	// ErrNoGoodSlave means that there is no node that may be promoted. The text says why each
	// may not. Redis says NOGOODSLAVE.
	ErrNoGoodSlave = errors.New("sentinel: NOGOODSLAVE: no node may be promoted")

	// ErrTimeout means that the node that was chosen did not become the master in time.
	ErrTimeout = errors.New("sentinel: the chosen node has not become master")

	// ErrMasterBack means that the master was heard again before another was promoted, and
	// was told to go on, in a new epoch.
	ErrMasterBack = errors.New("sentinel: the master is back")

	// ErrSuperseded means that somebody else has promoted a node meanwhile.
	ErrSuperseded = errors.New("sentinel: another master was promoted")

	// ErrNotElected means that too few sentinels gave their vote in time, or that other
	// candidates stood at the same moment. Nothing has happened. Try again when enough sentinels
	// can be reached: see [Sentinel.CheckQuorum].
	ErrNotElected = errors.New("sentinel: not elected")

	// ErrAborted means that the group was reset, or the sentinel closed, meanwhile.
	ErrAborted = errors.New("sentinel: failover was given up")
)

// Errors of the methods of a Sentinel.
var (
	// ErrClosed is returned by the methods of a sentinel that was closed.
	ErrClosed = errors.New("sentinel: closed")

	// ErrNoQuorum is returned by [Sentinel.CheckQuorum]: too few sentinels can be reached
	// for a failover. Start those that are missing, or call Reset if they are gone for good.
	ErrNoQuorum = errors.New("sentinel: NOQUORUM")
)

var (
	errUnreachable = errors.New("sentinel: node cannot be reached")
	errNotSaved    = errors.New("sentinel: state could not be saved")
	errStranger    = errors.New("sentinel: no vote for a sentinel that is not known here")
)
