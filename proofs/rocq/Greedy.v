(** The greedy: increments of all upper hulls by falling slope up to the first that does not fit, or that one alone. *)

From Coq Require Import Arith Bool Lia List Lqa QArith Qminmax ZArith.
From Aptsched Require Import Problem Hull.
Import ListNotations.
Open Scope Q_scope.

(** ** The algorithm *)

(** A request on its way: as it was given, what of it fits alone, the option it has come to, and the steps it took. *)
Record place := Place { given : request; offered : request; here : nat; taken : nat }.

(** Where all start. *)
Definition start (capacity : nat) (r : request) : place :=
  let fits := map (offer capacity) r in Place r fits (base fits) (if (base fits =? 0)%nat then 0 else 1).

(** The step that a request can take next: its slope, how many went before it, whose it is, and where it leads to. *)
Record step := Step { steepness : Q; before_it : nat; owner : request; target : nat; extra : nat }.

Definition next_step (p : place) : option step :=
  match next (offered p) (here p) with
  | Some (o, s) => Some (Step s (taken p) (given p) o
      (weight (form_of (offered p) o) - weight (form_of (offered p) (here p))))
  | None => None
  end.

(** Ties of slope: first steps before second ones, then by the data of the requests, in this order: first value,
    last to second value, all falling, last to first weight, rising. *)
Definition rank (r : request) : list Q :=
  match r with
  | [] => []
  | f :: fs => - value f :: rev (map (fun g => - value g) fs) ++ rev (map (fun g => q (weight g)) r)
  end.

Fixpoint smaller (xs ys : list Q) : bool :=
  match xs, ys with
  | x :: xs, y :: ys => above y x || Qeq_bool x y && smaller xs ys
  | _, _ => false
  end.

Definition goes_before (a b : step) : bool :=
  if Qeq_bool (steepness a) (steepness b) then
    if (before_it a =? before_it b)%nat then smaller (rank (owner a)) (rank (owner b))
    else (before_it a <? before_it b)%nat
  else above (steepness a) (steepness b).

(** Of all next steps the one that goes first: whose it is, counted from 0, and the step. *)
Definition first_step (ps : list place) : option (nat * step) := first goes_before next_step 0 ps.

Fixpoint update {A} (i : nat) (change : A -> A) (xs : list A) : list A :=
  match i, xs with
  | _, [] => []
  | O, x :: xs => change x :: xs
  | S i, x :: xs => x :: update i change xs
  end.

Definition move_to (o : nat) (p : place) : place := Place (given p) (offered p) o (S (taken p)).

(** Steps are taken, in order, up to the first that does not fit. Each takes some room: there is fuel for all. *)
Fixpoint run (fuel room : nat) (ps : list place) : list place :=
  match fuel, first_step ps with
  | S fuel, Some (i, s) =>
    if (extra s <=? room)%nat then run fuel (room - extra s) (update i (move_to (target s)) ps) else ps
  | _, _ => ps
  end.

Definition places (capacity : nat) (rs : list request) : list place :=
  run (S capacity) capacity (map (start capacity) rs).

(** Option o for request i, nothing for all others. *)
Definition alone (n i o : nat) : selection := update i (fun _ => o) (repeat 0%nat n).

(** The better of the steps that were taken and the first one left out, taken alone. *)
Definition greedy (rs : list request) (capacity : nat) : selection :=
  let ps := places capacity rs in
  let prefix := map here ps in
  match first_step ps with
  | Some (i, s) =>
    let single := alone (length rs) i (target s) in
    if above (value_of rs single) (value_of rs prefix) then single else prefix
  | None => prefix
  end.

(** The slope of the first step left out; 0 where all fit. *)
Definition price_of (ps : list place) : Q :=
  match first_step ps with
  | Some (_, s) => steepness s
  | None => 0
  end.

Definition greedy_price (rs : list request) (capacity : nat) : Q := price_of (places capacity rs).

(** ** Facts about it *)

Lemma goes_before_measures a b : goes_before a b = true -> steepness b <= steepness a.
Proof.
  unfold goes_before. destruct (Qeq_bool (steepness a) (steepness b)) eqn:same.
  - apply Qeq_bool_iff in same. intros _. lra.
  - apply above_measures.
Qed.

Lemma not_goes_before_measures a b : goes_before a b = false -> steepness a <= steepness b.
Proof.
  unfold goes_before. destruct (Qeq_bool (steepness a) (steepness b)) eqn:same.
  - apply Qeq_bool_iff in same. intros _. lra.
  - apply not_above_measures.
Qed.

Lemma next_step_some p s :
  next_step p = Some s ->
  next (offered p) (here p) = Some (target s, steepness s) /\
  (0 < extra s)%nat /\
  (weight (form_of (offered p) (target s)) = weight (form_of (offered p) (here p)) + extra s)%nat.
Proof.
  unfold next_step. destruct (next (offered p) (here p)) as [[o slope] | ] eqn:found; [ | easy].
  intros [= <-]. simpl. destruct (next_gain _ _ _ _ found) as (heavier & _). split; [easy | lia].
Qed.

(** The first step is somebody's next step, and no next step is steeper. *)
Lemma first_step_some ps i s :
  first_step ps = Some (i, s) ->
  exists p, nth_error ps i = Some p /\ next_step p = Some s /\
  forall p' s', In p' ps -> next_step p' = Some s' -> steepness s' <= steepness s.
Proof.
  intros found. pose proof (first_spec steepness goes_before next_step goes_before_measures not_goes_before_measures
    ps 0) as spec.
  unfold first_step in found. rewrite found in spec. destruct spec as [(j & p & -> & there & next_p) most].
  exists p. eauto.
Qed.

Lemma first_step_none ps : first_step ps = None -> forall p, In p ps -> next_step p = None.
Proof.
  intros found. pose proof (first_spec steepness goes_before next_step goes_before_measures not_goes_before_measures
    ps 0) as spec.
  unfold first_step in found. now rewrite found in spec.
Qed.

Lemma price_nonneg ps : 0 <= price_of ps.
Proof.
  unfold price_of. destruct (first_step ps) as [[i s] | ] eqn:found; [ | lra].
  destruct (first_step_some _ _ _ found) as (p & _ & step_p & _).
  destruct (next_step_some _ _ step_p) as (next_p & _). destruct (next_gain _ _ _ _ next_p) as (_ & _ & some & _). lra.
Qed.

(** No step is steeper than the price. *)
Lemma price_is_highest ps p f slope :
  In p ps -> In f (offered p) -> slope_from (form_of (offered p) (here p)) f = Some slope -> slope <= price_of ps.
Proof.
  intros inside inside_f is_step. unfold price_of.
  destruct (next (offered p) (here p)) as [[o highest] | ] eqn:next_p;
    [ | now rewrite (next_none _ _ next_p f inside_f) in is_step].
  destruct (next_some _ _ _ _ next_p) as (_ & _ & most). specialize (most f slope inside_f is_step).
  pose proof (eq_refl (next_step p)) as this. unfold next_step at 2 in this. rewrite next_p in this.
  destruct (first_step ps) as [[i s] | ] eqn:found; [ | now rewrite (first_step_none _ found p inside) in this].
  destruct (first_step_some _ _ _ found) as (_ & _ & _ & first). specialize (first p _ inside this). simpl in first.
  lra.
Qed.

Lemma in_update {A} i (change : A -> A) xs y :
  In y (update i change xs) -> In y xs \/ exists x, nth_error xs i = Some x /\ y = change x.
Proof.
  revert i. induction xs as [ | x xs IH]; intros [ | i]; simpl; try tauto.
  - intros [<- | inside]; [right; now exists x | tauto].
  - intros [<- | inside]; [tauto | ]. destruct (IH i inside) as [ | other]; tauto.
Qed.

Lemma map_update {A B} (of : A -> B) i change xs :
  (forall x, of (change x) = of x) -> map of (update i change xs) = map of xs.
Proof.
  intros same. revert i.
  induction xs as [ | x xs IH]; intros [ | i]; simpl; trivial; [now rewrite same | now rewrite IH].
Qed.

(** ** What holds after each step *)

(** Weight and value of where all stand. *)
Definition total_weight (ps : list place) : nat := weight_of (map offered ps) (map here ps).
Definition total_value (ps : list place) : Q := value_of (map offered ps) (map here ps).

(** All stand on their hulls, and nobody has a better option at the price of the next step. *)
Definition invariant (ps : list place) : Prop :=
  Forall (fun p => on_hull (offered p) (here p) /\ optimal (price_of ps) (offered p) (here p)) ps.

Lemma invariant_if_below ps :
  Forall (fun p => on_hull (offered p) (here p) /\ optimal_below (price_of ps) (offered p) (here p)) ps -> invariant ps.
Proof.
  unfold invariant. rewrite !Forall_forall. intros all p inside. destruct (all p inside) as [hull below].
  split; trivial. apply optimal_if_steps_are_flatter; trivial; [apply price_nonneg | ].
  intros f slope inside_f. now apply price_is_highest.
Qed.

Lemma invariant_at_start capacity rs : invariant (map (start capacity) rs).
Proof.
  apply invariant_if_below, Forall_forall. intros p inside. apply in_map_iff in inside as (r & <- & _).
  simpl. split; [constructor | apply base_spec].
Qed.

Lemma total_weight_at_start capacity rs : total_weight (map (start capacity) rs) = 0%nat.
Proof.
  unfold total_weight. induction rs as [ | r rs IH]; simpl; trivial. rewrite IH.
  destruct (base_spec (map (offer capacity) r) 0) as (_ & -> & _). easy.
Qed.

Lemma total_weight_update ps i p o extra :
  nth_error ps i = Some p -> (weight (form_of (offered p) o) = weight (form_of (offered p) (here p)) + extra)%nat ->
  total_weight (update i (move_to o) ps) = (total_weight ps + extra)%nat.
Proof.
  unfold total_weight. intros there more. revert i there.
  induction ps as [ | p' ps IH]; intros [ | i] there; simpl in *; try easy.
  - injection there as ->. lia.
  - rewrite (IH i there). lia.
Qed.

Lemma invariant_after_step ps i s :
  invariant ps -> first_step ps = Some (i, s) -> invariant (update i (move_to (target s)) ps).
Proof.
  intros holds found. destruct (first_step_some _ _ _ found) as (p & there & step_p & _).
  destruct (next_step_some _ _ step_p) as (next_p & _).
  assert (now : Forall (fun p => on_hull (offered p) (here p) /\ optimal (steepness s) (offered p) (here p))
                  (update i (move_to (target s)) ps)).
  { unfold invariant, price_of in holds. rewrite found in holds. rewrite Forall_forall in *.
    intros p' inside. apply in_update in inside as [inside | (p'' & there' & ->)]; [now apply holds | ].
    rewrite there in there'. injection there' as <-. destruct (holds p (nth_error_In _ _ there)) as [hull top].
    simpl. split; [now apply hull_next with (here p) (steepness s) | now apply next_is_optimal with (here p)]. }
  assert (falls : price_of (update i (move_to (target s)) ps) <= steepness s).
  { unfold price_of. destruct (first_step (update i (move_to (target s)) ps)) as [[j s'] | ] eqn:found'.
    - destruct (first_step_some _ _ _ found') as (p' & there' & step_p' & _).
      destruct (next_step_some _ _ step_p') as (next_p' & _).
      destruct (next_some _ _ _ _ next_p') as (in_range & some & _).
      apply nth_error_In in there'. rewrite Forall_forall in now. destruct (now p' there') as [_ top].
      destruct (target s') as [ | o] eqn:at_o; [now destruct (slope_from_some _ _ _ some) as (heavier & _) | ].
      apply (steps_are_flatter _ _ _ _ _ top (nth_In (offered p') unserved in_range) some).
    - pose proof (price_nonneg ps) as nonneg. unfold price_of in nonneg. now rewrite found in nonneg. }
  apply invariant_if_below. rewrite Forall_forall in *. intros p' inside. destruct (now p' inside) as [hull top].
  split; trivial. now apply optimal_below_as_price_falls with (steepness s).
Qed.

(** The run ends with the invariant, within the room, and the first step left out does not fit into what is left. *)
Lemma run_spec fuel room ps :
  (room < fuel)%nat -> invariant ps ->
  let ps' := run fuel room ps in
  invariant ps' /\ map given ps' = map given ps /\ map offered ps' = map offered ps /\
  (total_weight ps' <= total_weight ps + room)%nat /\
  forall i s, first_step ps' = Some (i, s) -> (total_weight ps + room < total_weight ps' + extra s)%nat.
Proof.
  revert room ps. induction fuel as [ | fuel IH]; intros room ps enough holds; simpl; [lia | ].
  destruct (first_step ps) as [[i s] | ] eqn:found.
  - destruct (Nat.leb_spec (extra s) room) as [fits | too_much].
    + destruct (first_step_some _ _ _ found) as (p & there & step_p & _).
      destruct (next_step_some _ _ step_p) as (_ & some & heavier).
      destruct (IH (room - extra s)%nat (update i (move_to (target s)) ps))
        as (holds' & same & same' & within & left_out);
        [lia | now apply invariant_after_step | ].
      rewrite (total_weight_update _ _ _ _ _ there heavier) in *. repeat split; trivial.
      * rewrite same. now apply map_update.
      * rewrite same'. now apply map_update.
      * lia.
      * intros j s' found'. specialize (left_out j s' found'). lia.
    + repeat split; trivial; [lia | ]. intros j s' found'. rewrite found in found'. injection found' as <- <-. lia.
  - repeat split; trivial; [lia | ]. intros j s' found'. now rewrite found in found'.
Qed.

Theorem places_spec capacity rs :
  let ps := places capacity rs in
  invariant ps /\ map given ps = rs /\ map offered ps = fitting capacity rs /\
  (total_weight ps <= capacity)%nat /\
  forall i s, first_step ps = Some (i, s) -> (capacity < total_weight ps + extra s)%nat.
Proof.
  pose proof (run_spec (S capacity) capacity (map (start capacity) rs) (Nat.lt_succ_diag_r _)
    (invariant_at_start capacity rs)) as spec.
  rewrite total_weight_at_start, !map_map in spec. simpl in spec. rewrite map_id in spec. exact spec.
Qed.
