------------------------------- MODULE Replay -------------------------------
(* Replay by "fold aside and merge", as of docs/replay-model.md.
   A metric's value is the sequence of the positions that were folded into it, and to merge is to append. That is
   the free monoid: what holds for it holds for every kind of metric that obeys the law of merging. *)
EXTENDS Naturals, Sequences, FiniteSets

CONSTANTS
    Log,        \* partition -> its users, one for each event; the reader's position makes it a stream
    MetricOf,   \* replay -> the metric that it fills
    ReplayOf,   \* process of a job -> the replay that it works for
    Threshold,  \* how many events earn the award
    FaultsMax,  \* crashes and rebalances in a behaviour
    Zombies,    \* whether an owner that was replaced may still try to commit
    Mutation    \* "none", or the name of the mistake to make

VARIABLES
    row,     \* replay -> its row in Postgres, the one arbiter
    job,     \* process, partition -> what it has done there
    control, \* partition -> commands, in the order in which they were sent
    assigned,\* partition -> assignments and end markers, in the order in which they were sent
    memory,  \* partition -> the state of its owner
    durable, \* partition -> the last committed checkpoint
    awards,  \* partition -> metric, user -> dates of the awards that are visible
    zombie,  \* partition -> the state of a replaced owner, or <<>>
    faults

vars == <<row, job, control, assigned, memory, durable, awards, zombie, faults>>

Partitions == DOMAIN Log
Replays == DOMAIN MetricOf
Jobs == DOMAIN ReplayOf
Metrics == {MetricOf[r] : r \in Replays}
UsersOf(p) == {Log[p][i] : i \in DOMAIN Log[p]}
Nothing(p) == [u \in UsersOf(p) |-> <<>>]
NoCut == 999

Fold(p, from, until, u) ==
    SelectSeq([i \in 1..(until - from) |-> from + i], LAMBDA i : Log[p][i] = u)

Working == {"prepared", "ready", "active"}

-----------------------------------------------------------------------------
(* The state of a partition, in memory or committed. *)

EmptyState(p) ==
    [position |-> 0, controlPosition |-> 0, assignedPosition |-> 0,
     phase |-> [r \in Replays |-> "idle"],
     cut |-> [r \in Replays |-> NoCut],
     base |-> [r \in Replays |-> Nothing(p)],
     live |-> [m \in Metrics |-> Nothing(p)],
     awarded |-> {},   \* <<metric, user>>
     pending |-> {}]   \* <<metric, user, date>>: awards of the next checkpoint

Value(s, r, u) == s.base[r][u] \o s.live[MetricOf[r]][u]

Settle(p, s) ==
    LET new == {<<r, u>> \in Replays \X UsersOf(p) :
                    /\ s.phase[r] = "active"
                    /\ Len(Value(s, r, u)) >= Threshold
                    /\ <<MetricOf[r], u>> \notin s.awarded}
    IN [s EXCEPT
            !.awarded = @ \cup {<<MetricOf[ru[1]], ru[2]>> : ru \in new},
            !.pending = @ \cup {<<MetricOf[ru[1]], ru[2], Value(s, ru[1], ru[2])[Threshold]>> : ru \in new}]

Prepared(p, s, c) ==
    IF s.phase[c.replay] = "idle" \/ (Mutation = "prepare_twice" /\ s.phase[c.replay] = "prepared")
    THEN [s EXCEPT !.phase[c.replay] = "prepared",
                   !.cut[c.replay] = IF Mutation = "job_cut" THEN c.cut ELSE s.position,
                   !.live[MetricOf[c.replay]] = Nothing(p)]
    ELSE s

Activated(p, s, c) ==
    IF s.phase[c.replay] = "ready" \/ (Mutation = "early_merge" /\ s.phase[c.replay] = "prepared")
    THEN Settle(p, [s EXCEPT !.phase[c.replay] = "active"])
    ELSE s

Cancelled(p, s, c) ==
    IF s.phase[c.replay] \in {"idle", "prepared", "ready"}
    THEN [s EXCEPT !.phase[c.replay] = IF Mutation = "forget_cancelled" THEN "idle" ELSE "cancelled",
                   !.cut[c.replay] = NoCut,
                   !.base[c.replay] = Nothing(p),
                   !.live[MetricOf[c.replay]] = IF s.phase[c.replay] = "idle" THEN @ ELSE Nothing(p)]
    ELSE s

Controlled(p, s, c) ==
    CASE c.op = "prepare" -> Prepared(p, s, c)
      [] c.op = "activate" -> Activated(p, s, c)
      [] c.op = "cancel" -> Cancelled(p, s, c)

Assigned(p, s, a) ==
    IF s.phase[a.replay] \notin {"prepared", "ready"} THEN s
    ELSE IF Mutation = "added" THEN [s EXCEPT !.base[a.replay][a.user] = @ \o a.partial]
    ELSE [s EXCEPT !.base[a.replay][a.user] = a.partial]

Ended(p, s, a) ==
    LET filled == {u \in UsersOf(p) : s.base[a.replay][u] # <<>>}
    IN IF s.phase[a.replay] = "prepared" /\ Cardinality(filled) = a.count
       THEN [s EXCEPT !.phase[a.replay] = "ready"]
       ELSE s

Journalled(p, s) ==
    LET next == s.position + 1
        user == Log[p][next]
        open == {MetricOf[r] : r \in {r \in Replays : s.phase[r] \in Working}}
    IN Settle(p, [s EXCEPT !.position = next,
                           !.live = [m \in Metrics |-> IF m \in open THEN [@[m] EXCEPT ![user] = Append(@, next)]
                                                                     ELSE @[m]]])

-----------------------------------------------------------------------------
Init ==
    /\ row = [r \in Replays |-> "none"]
    /\ job = [j \in Jobs |-> [p \in Partitions |-> [step |-> "new", sent |-> {}]]]
    /\ control = [p \in Partitions |-> <<>>]
    /\ assigned = [p \in Partitions |-> <<>>]
    /\ memory = [p \in Partitions |-> EmptyState(p)]
    /\ durable = [p \in Partitions |-> EmptyState(p)]
    /\ awards = [p \in Partitions |-> [mu \in Metrics \X UsersOf(p) |-> <<>>]]
    /\ zombie = [p \in Partitions |-> <<>>]
    /\ faults = 0

(* Operators. A metric is taken from the start of a replay until a cancel of it is durable in every partition. *)

Free(r) ==
    CASE Mutation = "no_index" -> TRUE
      [] Mutation = "index_freed_early" -> row[r] \in {"none", "cancelling", "cancelled"}
      [] OTHER -> row[r] \in {"none", "cancelled"}

Start(r) ==
    /\ row[r] = "none"
    /\ \A other \in Replays \ {r} : MetricOf[other] = MetricOf[r] => Free(other)
    /\ row' = [row EXCEPT ![r] = "running"]
    /\ UNCHANGED <<job, control, assigned, memory, durable, awards, zombie, faults>>

Cancel(r) ==
    /\ row[r] = "running"
    /\ row' = [row EXCEPT ![r] = "cancelling"]
    /\ UNCHANGED <<job, control, assigned, memory, durable, awards, zombie, faults>>

(* The job: any number of processes, none of which knows of the others, and each may go on although its replay was
   cancelled meanwhile. Only the row decides between activate and cancel. *)

Ready(p, r) ==
    \/ durable[p].phase[r] = "ready"
    \/ Mutation = "early_merge" /\ durable[p].phase[r] = "prepared"

Decide(r) ==
    /\ row[r] = "running"
    /\ \/ \A p \in Partitions : Ready(p, r)
       \/ Mutation = "one_is_enough" /\ \E p \in Partitions : Ready(p, r)
    /\ row' = [row EXCEPT ![r] = "activating"]
    /\ UNCHANGED <<job, control, assigned, memory, durable, awards, zombie, faults>>

Release(r) ==
    /\ row[r] = "cancelling"
    /\ \A p \in Partitions : durable[p].phase[r] = IF Mutation = "forget_cancelled" THEN "idle" ELSE "cancelled"
    /\ row' = [row EXCEPT ![r] = "cancelled"]
    /\ UNCHANGED <<job, control, assigned, memory, durable, awards, zombie, faults>>

Command(op, j, p) ==
    [op |-> op, replay |-> ReplayOf[j], cut |-> IF Mutation = "job_cut" THEN durable[p].position ELSE NoCut]

TellPrepare(j, p) ==
    /\ row[ReplayOf[j]] # "none"
    /\ job[j][p].step = "new"
    /\ control' = [control EXCEPT ![p] = Append(@, Command("prepare", j, p))]
    /\ job' = [job EXCEPT ![j][p].step = "told"]
    /\ UNCHANGED <<row, assigned, memory, durable, awards, zombie, faults>>

CutOf(p, r) == IF Mutation = "cut_before_commit" THEN memory[p].cut[r] ELSE durable[p].cut[r]

Partials(j, p) ==
    LET cut == CutOf(p, ReplayOf[j])
    IN [u \in {u \in UsersOf(p) : Fold(p, 0, cut, u) # <<>>} |-> Fold(p, 0, cut, u)]

(* What lies before the cut never changes: to fold it in one step leaves nothing out. *)
Assign(j, p) ==
    /\ job[j][p].step = "told"
    /\ CutOf(p, ReplayOf[j]) # NoCut
    /\ LET partials == Partials(j, p)
           left == DOMAIN partials \ job[j][p].sent
       IN IF left = {}
          THEN /\ assigned' = [assigned EXCEPT ![p] = Append(@,
                    [op |-> "end", replay |-> ReplayOf[j], count |-> Cardinality(DOMAIN partials)])]
               /\ job' = [job EXCEPT ![j][p] = [step |-> "ended", sent |-> {}]]
          ELSE LET u == CHOOSE u \in left : TRUE
               IN /\ assigned' = [assigned EXCEPT ![p] = Append(@,
                        [op |-> "assign", replay |-> ReplayOf[j], user |-> u, partial |-> partials[u]])]
                  /\ job' = [job EXCEPT ![j][p].sent = @ \cup {u}]
    /\ UNCHANGED <<row, control, memory, durable, awards, zombie, faults>>

TellDecision(j, p) ==
    /\ row[ReplayOf[j]] \in {"activating", "cancelling"}
    /\ job[j][p].step # "over"
    /\ control' = [control EXCEPT ![p] = Append(@,
            Command(IF row[ReplayOf[j]] = "activating" THEN "activate" ELSE "cancel", j, p))]
    /\ job' = [job EXCEPT ![j][p] = [step |-> "over", sent |-> {}]]
    /\ UNCHANGED <<row, assigned, memory, durable, awards, zombie, faults>>

(* The owner of a partition. It takes from three topics, in any order among them. *)

FoldEvent(p) ==
    /\ memory[p].position < Len(Log[p])
    /\ memory' = [memory EXCEPT ![p] = Journalled(p, @)]
    /\ UNCHANGED <<row, job, control, assigned, durable, awards, zombie, faults>>

TakeCommand(p) ==
    /\ memory[p].controlPosition < Len(control[p])
    /\ LET next == memory[p].controlPosition + 1
       IN memory' = [memory EXCEPT ![p] =
            Controlled(p, [@ EXCEPT !.controlPosition = next], control[p][next])]
    /\ UNCHANGED <<row, job, control, assigned, durable, awards, zombie, faults>>

TakeAssignment(p) ==
    /\ memory[p].assignedPosition < Len(assigned[p])
    /\ LET next == memory[p].assignedPosition + 1
           a == assigned[p][next]
           s == [memory[p] EXCEPT !.assignedPosition = next]
       IN memory' = [memory EXCEPT ![p] = IF a.op = "end" THEN Ended(p, s, a) ELSE Assigned(p, s, a)]
    /\ UNCHANGED <<row, job, control, assigned, durable, awards, zombie, faults>>

Visible(p, s) ==
    [mu \in DOMAIN awards[p] |->
        LET dates == {w \in s.pending : <<w[1], w[2]>> = mu}
        IN IF dates = {} THEN awards[p][mu] ELSE Append(awards[p][mu], (CHOOSE w \in dates : TRUE)[3])]

(* What a checkpoint has passed nobody reads again: the two topics and the positions in them begin there. *)
Checkpoint(s) == [s EXCEPT !.pending = {}, !.controlPosition = 0, !.assignedPosition = 0]
From(topic, position) == SubSeq(topic, position + 1, Len(topic))

Commit(p) ==
    /\ memory[p] # durable[p]
    /\ durable' = [durable EXCEPT ![p] = Checkpoint(memory[p])]
    /\ memory' = [memory EXCEPT ![p] = Checkpoint(@)]
    /\ awards' = [awards EXCEPT ![p] = Visible(p, memory[p])]
    /\ control' = [control EXCEPT ![p] = From(@, memory[p].controlPosition)]
    /\ assigned' = [assigned EXCEPT ![p] = From(@, memory[p].assignedPosition)]
    /\ UNCHANGED <<row, job, zombie, faults>>

(* Faults. *)

CrashOwner(p) ==
    /\ faults < FaultsMax
    /\ memory[p] # durable[p]
    /\ faults' = faults + 1
    /\ memory' = [memory EXCEPT ![p] = durable[p]]
    /\ zombie' = IF Zombies /\ zombie[p] = <<>> THEN [zombie EXCEPT ![p] = <<memory[p]>>] ELSE zombie
    /\ UNCHANGED <<row, job, control, assigned, durable, awards>>

ZombieCommit(p) ==
    /\ zombie[p] # <<>>
    /\ zombie' = [zombie EXCEPT ![p] = <<>>]
    /\ IF Mutation = "unfenced"
       THEN /\ durable' = [durable EXCEPT ![p] = Checkpoint(zombie[p][1])]
            /\ awards' = [awards EXCEPT ![p] = Visible(p, zombie[p][1])]
       ELSE UNCHANGED <<durable, awards>>
    /\ UNCHANGED <<row, job, control, assigned, memory, faults>>

CrashJob(j) ==
    /\ faults < FaultsMax
    /\ \E p \in Partitions : job[j][p].step # "new"
    /\ faults' = faults + 1
    /\ job' = [job EXCEPT ![j] = [p \in Partitions |->
            [step |-> IF Mutation = "not_restarted" THEN "over" ELSE "new", sent |-> {}]]]
    /\ UNCHANGED <<row, control, assigned, memory, durable, awards, zombie>>

-----------------------------------------------------------------------------
OfJob(j, p) == TellPrepare(j, p) \/ Assign(j, p) \/ TellDecision(j, p)

Next ==
    \/ \E r \in Replays : Start(r) \/ Cancel(r) \/ Decide(r) \/ Release(r)
    \/ \E j \in Jobs, p \in Partitions : OfJob(j, p)
    \/ \E p \in Partitions : FoldEvent(p) \/ TakeCommand(p) \/ TakeAssignment(p) \/ Commit(p)
    \/ \E p \in Partitions : CrashOwner(p) \/ ZombieCommit(p)
    \/ \E j \in Jobs : CrashJob(j)

(* Nobody has to start or cancel a replay, and nothing has to fail. *)
Fair ==
    /\ \A r \in Replays : WF_vars(Decide(r)) /\ WF_vars(Release(r))
    /\ \A j \in Jobs, p \in Partitions : WF_vars(OfJob(j, p))
    /\ \A p \in Partitions : /\ WF_vars(FoldEvent(p)) /\ WF_vars(TakeCommand(p))
                             /\ WF_vars(TakeAssignment(p)) /\ WF_vars(Commit(p))

Spec == Init /\ [][Next]_vars /\ Fair

-----------------------------------------------------------------------------
(* What must hold. *)

States(p) == {memory[p], durable[p]}

ValueIsTheWholeFold ==
    \A p \in Partitions : \A s \in States(p), r \in Replays :
        s.phase[r] = "active" => \A u \in UsersOf(p) : Value(s, r, u) = Fold(p, 0, s.position, u)

FromZero(p, u) ==
    LET fold == Fold(p, 0, durable[p].position, u)
    IN IF Len(fold) >= Threshold THEN <<fold[Threshold]>> ELSE <<>>

Filled(p, m) == \E r \in Replays : MetricOf[r] = m /\ durable[p].phase[r] = "active"

AwardsAreThoseFromZero ==
    \A p \in Partitions : \A m \in Metrics, u \in UsersOf(p) :
        awards[p][<<m, u>>] = IF Filled(p, m) THEN FromZero(p, u) ELSE <<>>

EachAwardOnce ==
    \A p \in Partitions : \A mu \in DOMAIN awards[p] : Len(awards[p][mu]) <= 1

NothingBeforeAllAreReady ==
    \A p \in Partitions, r \in Replays :
        durable[p].phase[r] = "active" =>
            row[r] = "activating" /\ \A q \in Partitions : durable[q].phase[r] \in {"ready", "active"}

Traceless(p, s, r) ==
    /\ s.base[r] = Nothing(p)
    /\ s.cut[r] = NoCut
    /\ (\A other \in Replays : MetricOf[other] = MetricOf[r] => s.phase[other] \notin Working)
            => s.live[MetricOf[r]] = Nothing(p)

CancelLeavesNoTrace ==
    \A p \in Partitions, r \in Replays :
        /\ \A s \in States(p) : s.phase[r] = "cancelled" => Traceless(p, s, r)
        /\ row[r] = "cancelled" =>
            \A s \in States(p) : s.phase[r] \notin Working /\ Traceless(p, s, r)

OneReplayAtAMetric ==
    \A p \in Partitions : \A s \in States(p) : \A r, other \in Replays :
        r # other /\ MetricOf[r] = MetricOf[other] => ~(s.phase[r] \in Working /\ s.phase[other] \in Working)

CutIsChosenOnce ==
    [][\A p \in Partitions, r \in Replays :
        durable[p].cut[r] # NoCut /\ durable'[p].phase[r] \in Working => durable'[p].cut[r] = durable[p].cut[r]]_vars

EveryReplayEnds ==
    \A r \in Replays : row[r] = "running" ~>
        \/ \A p \in Partitions : durable[p].phase[r] = "active" /\ durable[p].position = Len(Log[p])
        \/ \A p \in Partitions : durable[p].phase[r] = "cancelled"

=============================================================================
