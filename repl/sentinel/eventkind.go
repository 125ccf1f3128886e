package sentinel

import (
	"fmt"

	"github.com/emberkv/ember/backlog"
)

// An EventKind says what has happened. Its String is Redis Sentinel's name of the event.
//
// Redis' +tilt and -tilt have no counterpart, as all time here is monotonic; nor has +set, as options do not
// change while a sentinel runs.
type EventKind uint8

// About the configuration.
const (
	EventMonitor      EventKind = iota + 1 // the sentinel has begun, or has found its first master
	EventUnmonitor                         // it is being closed
	EventResetMaster                       // Sentinel.Reset was called
	EventNewEpoch                          // a higher epoch was heard of, see Epoch
	EventConfigUpdate                      // About has told of another master
	EventSwitchMaster                      // Master takes About's place
)

// About what the group consists of.
const (
	EventNewSlave              EventKind = iota + 16 // a node was found
	EventForgottenSlave                              // and was not heard of for ForgetAfter
	EventNewSentinel                                 // another sentinel was found
	EventSentinelAddressSwitch                       // it has another address now
	EventSentinelInvalidAddr                         // at its address there is one of another id, which replaces it if that is new, and it is nowhere else
	EventRoleChange                                  // a node reports another role than it should have
	EventRoleRestored                                // and has the right one again
	EventConvertToSlave                              // a master of a lower epoch was told to follow the master
	EventFixSlaveConfig                              // a replica of somebody else was told to
	EventReboot                                      // a node was started anew
)

// About who is down.
const (
	EventSDown    EventKind = iota + 32 // subjectively: this sentinel does not hear About
	EventSDownEnd                       // it does again
	EventODown                          // objectively: as many as the quorum do not hear the master
	EventODownEnd                       // no longer that many
)

// About a failover.
const (
	EventTryFailover               EventKind = iota + 48 // the sentinel asks for votes, or was told to fail over
	EventVoteForLeader                                   // it has given its vote to About, in Epoch
	EventElectedLeader                                   // it leads the failover
	EventStateSelectSlave                                // hears the replicas, to choose one
	EventSelectedSlave                                   // has chosen About
	EventStateStepDown                                   // on demand only: the old master is to step down, or its lease to end
	EventStateSendPromote                                // tells the chosen one to become master
	EventStateWaitPromotion                              // waits until it reports that it is
	EventPromotedSlave                                   // it is
	EventStateReconfSlaves                               // tells the others whom to follow
	EventSlaveReconfSent                                 // has told About
	EventSlaveReconfSentBestEffort                       // has told About at the end, and does not wait for it
	EventSlaveReconfSentTimeout                          // About was told, and did not follow in time
	EventSlaveReconfInProgress                           // About follows the new master, and is not up to date yet
	EventSlaveReconfDone                                 // it is
	EventFailoverEnd                                     // all that can be heard follow the new master
	EventFailoverEndTimeout                              // FailoverTimeout was over first
	EventAbortNotElected                                 // no majority in time; aborted failovers are tried again by themselves
	EventAbortNoGoodSlave                                // none that may be promoted; Text says why each may not
	EventAbortSlaveTimeout                               // the chosen one has refused, is gone, or was too slow
	EventAbortMasterBack                                 // the master can be heard again, and is to go on in this epoch
)

// About scripts.
const (
	EventScriptError   EventKind = iota + 80 // a script could not be run, or has failed for good
	EventScriptTimeout                       // one ran for too long and was killed
)

var eventNames = map[EventKind]string{
	EventMonitor: "+monitor", EventUnmonitor: "-monitor", EventResetMaster: "+reset-master", EventNewEpoch: "+new-epoch",
	EventConfigUpdate: "+config-update-from", EventSwitchMaster: "+switch-master",

	EventNewSlave: "+slave", EventForgottenSlave: "-slave", EventNewSentinel: "+sentinel",
	EventSentinelAddressSwitch: "+sentinel-address-switch", EventSentinelInvalidAddr: "+sentinel-invalid-addr",
	EventRoleChange: "+role-change", EventRoleRestored: "-role-change",
	EventConvertToSlave: "+convert-to-slave", EventFixSlaveConfig: "+fix-slave-config", EventReboot: "+reboot",

	EventSDown: "+sdown", EventSDownEnd: "-sdown", EventODown: "+odown", EventODownEnd: "-odown",

	EventTryFailover: "+try-failover", EventVoteForLeader: "+vote-for-leader", EventElectedLeader: "+elected-leader",
	EventStateSelectSlave: "+failover-state-select-slave", EventSelectedSlave: "+selected-slave",
	EventStateStepDown: "+failover-state-step-down", EventStateSendPromote: "+failover-state-send-slaveof-noone",
	EventStateWaitPromotion: "+failover-state-wait-promotion", EventPromotedSlave: "+promoted-slave",
	EventStateReconfSlaves: "+failover-state-reconf-slaves", EventSlaveReconfSent: "+slave-reconf-sent",
	EventSlaveReconfSentBestEffort: "+slave-reconf-sent-be", EventSlaveReconfSentTimeout: "-slave-reconf-sent-timeout",
	EventSlaveReconfInProgress: "+slave-reconf-inprog", EventSlaveReconfDone: "+slave-reconf-done",
	EventFailoverEnd: "+failover-end", EventFailoverEndTimeout: "+failover-end-for-timeout",
	EventAbortNotElected: "-failover-abort-not-elected", EventAbortNoGoodSlave: "-failover-abort-no-good-slave",
	EventAbortSlaveTimeout: "-failover-abort-slave-timeout", EventAbortMasterBack: "-failover-abort-master-is-back",

	EventScriptError: "-script-error", EventScriptTimeout: "-script-timeout",
}

// String returns Redis' name of the event, such as "+sdown".
func (k EventKind) String() string {
	if name, ok := eventNames[k]; ok {
		return name
	}
	return fmt.Sprintf("EventKind(%d)", uint8(k))
}

// MarshalText returns what String returns.
func (k EventKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what MarshalText wrote, or returns [backlog.ErrText].
func (k *EventKind) UnmarshalText(text []byte) error {
	for kind, name := range eventNames {
		if name == string(text) {
			*k = kind
			return nil
		}
	}
	return fmt.Errorf("%w: %.40q is no event", backlog.ErrText, text)
}

// Warning reports whether Redis logs such an event as a warning; for those the
// notification script is run.
func (k EventKind) Warning() bool {
	switch k {
	case EventMonitor, EventUnmonitor, EventResetMaster, EventNewEpoch, EventConfigUpdate, EventSwitchMaster, EventSentinelInvalidAddr,
		EventSDown, EventSDownEnd, EventODown, EventODownEnd,
		EventTryFailover, EventVoteForLeader, EventElectedLeader, EventStateSelectSlave, EventSelectedSlave, EventPromotedSlave, EventStateReconfSlaves,
		EventFailoverEnd, EventFailoverEndTimeout, EventAbortNotElected, EventAbortNoGoodSlave, EventAbortSlaveTimeout, EventAbortMasterBack:
		return true
	}
	return false
}
