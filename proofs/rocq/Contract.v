(** Admission as a contract: who is admitted, once it can be, never lacks memory and has every token in time. *)

From Coq Require Import Arith Lia List Lqa QArith ZArith.
From Aptsched Require Import Problem.
Import ListNotations.
Open Scope Q_scope.

(** The pool and the iterations. An iteration feeds one token of each request, and [chunk] more of prompts. It takes at
    most [fixed_s], the chunk among it; for each request [decode_s], or [prompt_s] while its prompt is not done; and
    [context_s] for each token that is cached. *)
Record machine := Machine {
  capacity : nat; per_block : nat; chunk : nat; fixed_s : Q; decode_s : Q; prompt_s : Q; context_s : Q }.

Definition sound (m : machine) : Prop :=
  (0 < per_block m)%nat /\ (0 < chunk m)%nat /\
  0 <= fixed_s m /\ 0 <= decode_s m /\ decode_s m <= prompt_s m /\ 0 <= context_s m.

(** A request that was admitted: the tokens that are cached once its next one has come; the output tokens to come until
    its cap; the tokens of prompts that are fed before its next one, its own among them, 0 if it decodes; when its next
    token is due; and its time per token. *)
Record request := Request { size : nat; left : nat; ahead : nat; due : Q; tpot : Q }.

(** How many chunks that takes; within how many iterations its next token comes, and it ends. *)
Definition chunks (m : machine) (r : request) : nat := ((ahead r + chunk m - 1) / chunk m)%nat.
Definition rounds (m : machine) (r : request) : nat := Nat.max 1 (chunks m r).
Definition lasts (m : machine) (r : request) : nat := (chunks m r + left r)%nat.

(** The whole blocks of so many tokens. *)
Definition blocks (m : machine) (tokens : nat) : nat := ((tokens + per_block m - 1) / per_block m)%nat.

(** The most that a request holds, and takes, t iterations from now. *)
Definition holds (m : machine) (t : nat) (r : request) : nat :=
  if (t <? lasts m r)%nat then blocks m (size r + t) else 0%nat.

Definition token_s (m : machine) (r : request) : Q := if (ahead r =? 0)%nat then decode_s m else prompt_s m.

Definition takes (m : machine) (t : nat) (r : request) : Q :=
  if (t <? lasts m r)%nat then token_s m r + context_s m * q (size r + t) else 0.

Definition total (f : request -> nat) (rs : list request) : nat := fold_right Nat.add 0%nat (map f rs).
Definition total_s (f : request -> Q) (rs : list request) : Q := fold_right Qplus 0 (map f rs).

(** What is promised to these requests now: memory suffices in all iterations to come, none of them takes longer than
    [longest], and by that bound every next token is in time, and those after it. *)
Definition promised (m : machine) (now : Q) (rs : list request) : Prop :=
  (forall t, (total (holds m t) rs <= capacity m)%nat) /\
  Forall (fun r => (0 < left r)%nat) rs /\
  exists longest,
    (forall t, fixed_s m + total_s (takes m t) rs <= longest) /\
    Forall (fun r => longest <= tpot r /\ now + q (rounds m r) * longest <= due r) rs.

(** What an iteration does to a request that goes on. It gets a token; or its prompt is fed on, by a chunk at least, its
    own tokens or those before them. *)
Definition next_token (r : request) : request := Request (S (size r)) (left r - 1) 0 (due r + tpot r) (tpot r).

Inductive goes_on (m : machine) (r : request) : request -> Prop :=
| token : (1 < left r)%nat -> goes_on m r (next_token r)
| fed less :
    (chunk m < ahead r)%nat -> (less + chunk m <= ahead r)%nat ->
    goes_on m r (Request (size r) (left r) less (due r) (tpot r)).

(** Each request goes on, or has ended: by its cap, or at any time before it. *)
Inductive all_go_on (m : machine) : list request -> list request -> Prop :=
| nobody : all_go_on m [] []
| stays r s rs ss : goes_on m r s -> all_go_on m rs ss -> all_go_on m (r :: rs) (s :: ss)
| ends r rs ss : all_go_on m rs ss -> all_go_on m (r :: rs) ss.

(** An iteration that takes no longer than what it does. *)
Definition iteration (m : machine) (now : Q) (rs : list request) (later : Q) (ss : list request) : Prop :=
  all_go_on m rs ss /\ now <= later /\
  later - now <= fixed_s m + total_s (fun r => token_s m r + context_s m * q (size r)) rs.

(** The same pool with another chunk. *)
Definition with_chunk (m : machine) (tokens : nat) (seconds : Q) : machine :=
  Machine (capacity m) (per_block m) tokens seconds (decode_s m) (prompt_s m) (context_s m).

(** Everybody is still there; where others are fed first, behind more tokens. *)
Definition all_there (rs more : list request) : Prop :=
  Forall (fun r => exists behind, In (Request (size r) (left r) behind (due r) (tpot r)) more) rs.

(** All that can happen: nobody is there, and time passes; requests are admitted, or another chunk is chosen, where
    everything is promised to all of them together; iterations follow each other. *)
Inductive reached : machine -> Q -> list request -> Prop :=
| idle m now : sound m -> reached m now []
| agreed m now rs tokens seconds more :
    reached m now rs -> all_there rs more -> sound (with_chunk m tokens seconds) ->
    promised (with_chunk m tokens seconds) now more -> reached (with_chunk m tokens seconds) now more
| iterated m now rs later ss : reached m now rs -> iteration m now rs later ss -> reached m later ss.

(** A chunk that is handed out in order: what is left of each prompt. *)
Fixpoint hand_out (budget : nat) (prompts : list nat) : list nat :=
  match prompts with
  | [] => []
  | prompt :: others => (prompt - budget)%nat :: hand_out (budget - prompt) others
  end.

Definition first_of (n : nat) (prompts : list nat) : nat := fold_right Nat.add 0%nat (firstn n prompts).

(** ** Proof *)

(** Of every request, the tokens up to the end of its prompt become fewer by the whole chunk, or none are left: what
    [fed] says. *)
Theorem chunk_in_order budget prompts n :
  first_of n (hand_out budget prompts) = (first_of n prompts - budget)%nat.
Proof.
  unfold first_of. revert budget n.
  induction prompts as [ | prompt others IH]; intros budget [ | n]; simpl; try easy. rewrite IH. lia.
Qed.

Lemma blocks_le m a b : (0 < per_block m)%nat -> (a <= b)%nat -> (blocks m a <= blocks m b)%nat.
Proof. intros some less. apply Nat.div_le_mono; lia. Qed.

Lemma no_chunks m r : (0 < chunk m)%nat -> ahead r = 0%nat -> chunks m r = 0%nat.
Proof. intros some none. unfold chunks. rewrite none. apply Nat.div_small. lia. Qed.

Lemma fewer_chunks m r s :
  (0 < chunk m)%nat -> (ahead s + chunk m <= ahead r)%nat -> (S (chunks m s) <= chunks m r)%nat.
Proof.
  intros some less. unfold chunks.
  assert (step : S ((ahead s + chunk m - 1) / chunk m) = ((ahead s + chunk m - 1 + 1 * chunk m) / chunk m)%nat)
    by (rewrite Nat.div_add by lia; lia).
  rewrite step. apply Nat.div_le_mono; lia.
Qed.

Lemma two_chunks m r : (0 < chunk m)%nat -> (chunk m < ahead r)%nat -> (2 <= chunks m r)%nat.
Proof. intros some more. apply Nat.div_le_lower_bound; lia. Qed.

Lemma fewer_rounds m r less :
  (0 < chunk m)%nat -> (chunk m < ahead r)%nat -> (less + chunk m <= ahead r)%nat ->
  (S (rounds m (Request (size r) (left r) less (due r) (tpot r))) <= rounds m r)%nat.
Proof.
  intros some more fewer. set (s := Request _ _ _ _ _). unfold rounds.
  pose proof (two_chunks m r some more). pose proof (fewer_chunks m r s some fewer). lia.
Qed.

Lemma ends_sooner m r s : (0 < chunk m)%nat -> goes_on m r s -> (S (lasts m s) <= lasts m r)%nat.
Proof.
  intros some [more | less more fewer]; unfold lasts.
  - rewrite (no_chunks m (next_token r)) by easy. simpl. lia.
  - pose proof (fewer_chunks m r (Request (size r) (left r) less (due r) (tpot r)) some fewer). simpl in *. lia.
Qed.

Lemma not_larger m r s t : goes_on m r s -> (size s + t <= size r + S t)%nat.
Proof. intros [more | less more fewer]; simpl; lia. Qed.

Lemma not_longer m r s : sound m -> goes_on m r s -> token_s m s <= token_s m r.
Proof.
  intros (_ & _ & _ & _ & cheaper & _) [more | less more fewer]; unfold token_s; simpl.
  - destruct (ahead r =? 0)%nat; lra.
  - destruct (Nat.eqb_spec (ahead r) 0) as [none | some]; [lia | ]. destruct (less =? 0)%nat; lra.
Qed.

Lemma token_nonneg m r : sound m -> 0 <= token_s m r.
Proof.
  intros (_ & _ & _ & decode & cheaper & _). unfold token_s. destruct (ahead r =? 0)%nat; lra.
Qed.

Lemma read_nonneg m n : sound m -> 0 <= context_s m * q n.
Proof. intros (_ & _ & _ & _ & _ & context). apply Qmult_le_0_compat; [easy | apply q_nonneg]. Qed.

Lemma takes_nonneg m t r : sound m -> 0 <= takes m t r.
Proof.
  intros good. unfold takes. destruct (t <? lasts m r)%nat; [ | lra].
  pose proof (token_nonneg m r good). pose proof (read_nonneg m (size r + t) good). lra.
Qed.

Lemma holds_less m t r s : sound m -> goes_on m r s -> (holds m t s <= holds m (S t) r)%nat.
Proof.
  intros (some_block & some & _) goes. unfold holds.
  pose proof (ends_sooner m r s some goes). pose proof (not_larger m r s t goes).
  destruct (Nat.ltb_spec t (lasts m s)), (Nat.ltb_spec (S t) (lasts m r)); try lia. now apply blocks_le.
Qed.

Lemma takes_less m t r s : sound m -> goes_on m r s -> takes m t s <= takes m (S t) r.
Proof.
  intros good goes. pose proof good as (_ & some & _ & _ & _ & context). pose proof (takes_nonneg m (S t) r good).
  pose proof (ends_sooner m r s some goes). pose proof (not_longer m r s good goes).
  unfold takes in *. destruct (Nat.ltb_spec t (lasts m s)); [ | easy].
  destruct (Nat.ltb_spec (S t) (lasts m r)); [ | lia].
  assert (more : context_s m * q (size s + t) <= context_s m * q (size r + S t)).
  { rewrite 2 (Qmult_comm (context_s m)). apply Qmult_le_compat_r; [ | easy].
    apply q_le. now apply not_larger with m. }
  lra.
Qed.

Lemma total_holds_less m t rs ss :
  sound m -> all_go_on m rs ss -> (total (holds m t) ss <= total (holds m (S t)) rs)%nat.
Proof.
  intros good. induction 1 as [ | r s rs ss goes _ IH | r rs ss _ IH]; unfold total in *; simpl in *; try lia.
  pose proof (holds_less m t r s good goes). lia.
Qed.

Lemma total_takes_less m t rs ss :
  sound m -> all_go_on m rs ss -> total_s (takes m t) ss <= total_s (takes m (S t)) rs.
Proof.
  intros good. induction 1 as [ | r s rs ss goes _ IH | r rs ss _ IH]; unfold total_s in *; simpl in *; [lra | | ].
  - pose proof (takes_less m t r s good goes). lra.
  - pose proof (takes_nonneg m (S t) r good). lra.
Qed.

Lemma total_takes_nonneg m t rs : sound m -> 0 <= total_s (takes m t) rs.
Proof.
  intros good. induction rs as [ | r rs IH]; unfold total_s in *; simpl; [lra | ].
  pose proof (takes_nonneg m t r good). lra.
Qed.

(** What is held now, and what an iteration takes now, are those of 0 iterations from now. *)
Lemma held_now m rs :
  Forall (fun r => (0 < left r)%nat) rs -> total (fun r => blocks m (size r)) rs = total (holds m 0) rs.
Proof.
  induction 1 as [ | r rs some _ IH]; [easy | ]. unfold total in *. simpl. rewrite IH. f_equal. unfold holds, lasts.
  destruct (Nat.ltb_spec 0 (chunks m r + left r)); [ | lia]. f_equal. lia.
Qed.

Lemma taken_now m rs :
  Forall (fun r => (0 < left r)%nat) rs ->
  total_s (fun r => token_s m r + context_s m * q (size r)) rs == total_s (takes m 0) rs.
Proof.
  induction 1 as [ | r rs some _ IH]; unfold total_s in *; simpl; [lra | ]. rewrite IH. unfold takes, lasts.
  destruct (Nat.ltb_spec 0 (chunks m r + left r)); [ | lia]. rewrite Nat.add_0_r. lra.
Qed.

Lemma one_round m r longest : 0 <= longest -> longest <= q (rounds m r) * longest.
Proof.
  intros nonneg. assert (one : q 1 <= q (rounds m r)) by (apply q_le; unfold rounds; lia).
  change (q 1) with 1 in one. pose proof (Qmult_le_compat_r _ _ longest one nonneg). lra.
Qed.

(** What is promised about time is kept by an iteration, for a request that goes on. *)
Lemma in_time_later m now later longest r s :
  sound m -> 0 <= longest -> later - now <= longest -> goes_on m r s ->
  longest <= tpot r /\ now + q (rounds m r) * longest <= due r ->
  longest <= tpot s /\ later + q (rounds m s) * longest <= due s.
Proof.
  intros (_ & some & _) nonneg short [more | less more fewer] [each next]; split; try easy; cbn [due next_token].
  - pose proof (one_round m r longest nonneg) as one.
    assert (single : rounds m (next_token r) = 1%nat) by (unfold rounds; now rewrite no_chunks).
    rewrite single. change (q 1) with 1. lra.
  - pose proof (q_le _ _ (fewer_rounds m r less some more fewer)) as rounds_fewer.
    set (fed_on := Request _ _ _ _ _) in *. change (S (rounds m fed_on)) with (1 + rounds m fed_on)%nat in rounds_fewer.
    rewrite q_plus in rounds_fewer. change (q 1) with 1 in rounds_fewer.
    pose proof (Qmult_le_compat_r _ _ longest rounds_fewer nonneg). lra.
Qed.

(** Theorem 10, memory: what is promised suffices now, so that nobody has to be preempted. *)
Theorem contract_fits m now rs :
  promised m now rs -> (total (fun r => blocks m (size r)) rs <= capacity m)%nat.
Proof. intros (fits & some & _). rewrite held_now by easy. apply fits. Qed.

Lemma short_enough m now rs longest later ss :
  Forall (fun r => (0 < left r)%nat) rs -> (forall t, fixed_s m + total_s (takes m t) rs <= longest) ->
  iteration m now rs later ss -> later - now <= longest.
Proof.
  intros some bounded (_ & _ & took). rewrite (taken_now m rs some) in took. specialize (bounded 0%nat). lra.
Qed.

Lemma longest_nonneg m rs longest :
  sound m -> (forall t, fixed_s m + total_s (takes m t) rs <= longest) -> 0 <= longest.
Proof.
  intros good bounded. specialize (bounded 0%nat). pose proof (total_takes_nonneg m 0 rs good).
  destruct good as (_ & _ & fixed & _). lra.
Qed.

(** Theorem 10, time: an iteration ends before anybody's next token is due, and is no longer than anybody's TPOT. *)
Theorem contract_in_time m now rs later ss :
  sound m -> promised m now rs -> iteration m now rs later ss ->
  Forall (fun r => later <= due r /\ later - now <= tpot r) rs.
Proof.
  intros good (_ & some & longest & bounded & in_time) step.
  pose proof (short_enough m now rs longest later ss some bounded step) as short.
  pose proof (longest_nonneg m rs longest good bounded) as nonneg.
  apply Forall_impl with (2 := in_time). intros r [each next]. pose proof (one_round m r longest nonneg). lra.
Qed.

(** Theorem 10, the induction: what was promised is promised still when an iteration is over, whatever it did. *)
Theorem contract_kept m now rs later ss :
  sound m -> promised m now rs -> iteration m now rs later ss -> promised m later ss.
Proof.
  intros good (fits & some & longest & bounded & in_time) step.
  pose proof (short_enough m now rs longest later ss some bounded step) as short.
  pose proof (longest_nonneg m rs longest good bounded) as nonneg. destruct step as (goes & _ & _).
  repeat split.
  - intros t. pose proof (total_holds_less m t rs ss good goes). specialize (fits (S t)). lia.
  - clear - some goes. induction goes as [ | r s rs ss one _ IH | r rs ss _ IH]; inversion some; subst; auto.
    constructor; auto. destruct one; simpl; lia.
  - exists longest. split.
    + intros t. pose proof (total_takes_less m t rs ss good goes). specialize (bounded (S t)). lra.
    + clear - good short nonneg in_time goes.
      induction goes as [ | r s rs ss one _ IH | r rs ss _ IH]; inversion in_time; subst; auto.
      constructor; auto. now apply in_time_later with now r.
Qed.

Lemma nothing_promised m now : promised m now [].
Proof.
  repeat split; [intros t; apply Nat.le_0_l | constructor | ].
  exists (fixed_s m). split; [intros t; unfold total_s; simpl; lra | constructor].
Qed.

Lemma reached_promised m now rs : reached m now rs -> sound m /\ promised m now rs.
Proof.
  induction 1 as [ | | m before rs after others _ [good held] step]; [ | easy | ].
  - split; [easy | apply nothing_promised].
  - split; [easy | now apply contract_kept with before rs].
Qed.

(** Theorem 10: whatever happens, everybody who was admitted has memory, and every token in time. *)
Theorem contract_holds m now rs later ss :
  reached m now rs -> iteration m now rs later ss ->
  (total (fun r => blocks m (size r)) rs <= capacity m)%nat /\
  Forall (fun r => later <= due r /\ later - now <= tpot r) rs.
Proof.
  intros there step. destruct (reached_promised m now rs there) as [good held].
  split; [now apply contract_fits with now | now apply contract_in_time with m ss].
Qed.
