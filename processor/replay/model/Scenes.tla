------------------------------- MODULE Scenes -------------------------------
(* The constants of the configurations beside this file. *)
EXTENDS Replay

OnePartition == <<<<"ann", "bob", "ann">>>>
ShortPartition == <<<<"ann", "ann">>>>
TwoPartitions == <<<<"ann">>, <<"eve">>>>

OneReplay == <<"songs">>
SameMetric == <<"songs", "songs">>
TwoMetrics == <<"songs", "albums">>

OneProcess == <<1>>
TwoProcesses == <<1, 1>>
OneProcessEach == <<1, 2>>

=============================================================================
