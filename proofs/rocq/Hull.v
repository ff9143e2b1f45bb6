(** The steps of a request along its upper hull, each from where it stands to the option of steepest slope. *)

From Coq Require Import Arith Bool Lia List Lqa QArith Qminmax ZArith.
From Aptsched Require Import Problem.
Import ListNotations.
Open Scope Q_scope.

(** The first of a list, by a rule that says which of two keys goes before the other; of equals the earlier one.
    Entries without a key do not count. The answer is a position, counted from [start], and its key. *)
Fixpoint first {A K} (before : K -> K -> bool) (key : A -> option K) (start : nat) (xs : list A) : option (nat * K) :=
  match xs with
  | [] => None
  | x :: rest =>
    match key x, first before key (S start) rest with
    | None, later => later
    | Some k, Some (o, k') => if before k' k then Some (o, k') else Some (start, k)
    | Some k, None => Some (start, k)
    end
  end.

Definition above (a b : Q) : bool := negb (Qle_bool a b).

(** Gain per block from one form to a heavier one. *)
Definition slope (a b : form) : Q := (value b - value a) / q (weight b - weight a).

Definition slope_from (a b : form) : option Q :=
  if (weight a <? weight b)%nat && above (value b) (value a) then Some (slope a b) else None.

(** From option o: the option of steepest slope among those that are heavier and worth more, if there are any. *)
Definition next (r : request) (o : nat) : option (nat * Q) := first above (slope_from (form_of r o)) 1 r.

(** Where a request starts: at its most valuable option of those that need no blocks (mostly, not to be served). *)
Definition free_value (f : form) : option Q :=
  if (weight f =? 0)%nat && above (value f) 0 then Some (value f) else None.

Definition base (r : request) : nat :=
  match first above free_value 1 r with
  | Some (o, _) => o
  | None => 0
  end.

(** The options that a request can get to by such steps. *)
Inductive on_hull (r : request) : nat -> Prop :=
  | hull_base : on_hull r (base r)
  | hull_next o o' steepness : on_hull r o -> next r o = Some (o', steepness) -> on_hull r o'.

(** No option is better at this price. *)
Definition optimal (price : Q) (r : request) (o : nat) : Prop :=
  forall f, In f (unserved :: r) -> reduced price f <= reduced price (form_of r o).

(** No option that is not heavier is better at this price. *)
Definition optimal_below (price : Q) (r : request) (o : nat) : Prop :=
  forall f, In f (unserved :: r) -> (weight f <= weight (form_of r o))%nat ->
  reduced price f <= reduced price (form_of r o).

Lemma above_iff a b : above a b = true <-> b < a.
Proof. unfold above. rewrite negb_true_iff, <- not_true_iff_false, Qle_bool_iff. split; lra. Qed.

(** What [first] finds is in the list, and nothing measures more, whenever the rule goes by the measure. *)
Lemma first_spec {A K} (measure : K -> Q) (before : K -> K -> bool) (key : A -> option K) :
  (forall k k', before k k' = true -> measure k' <= measure k) ->
  (forall k k', before k k' = false -> measure k <= measure k') ->
  forall xs start,
  match first before key start xs with
  | None => forall x, In x xs -> key x = None
  | Some (o, k) =>
    (exists i x, o = (start + i)%nat /\ nth_error xs i = Some x /\ key x = Some k) /\
    forall x k', In x xs -> key x = Some k' -> measure k' <= measure k
  end.
Proof.
  intros by_measure not_before. induction xs as [ | x rest IH]; intros start; simpl; [easy | ].
  specialize (IH (S start)). destruct (key x) as [k | ] eqn:key_x.
  - destruct (first before key (S start) rest) as [[o k'] | ]; [destruct (before k' k) eqn:which | ].
    + destruct IH as [(i & y & at_i & there & key_y) most]. split.
      * exists (S i), y. repeat split; trivial. lia.
      * intros z k'' [<- | inside] key_z; [ | eauto]. rewrite key_x in key_z. injection key_z as <-. eauto.
    + destruct IH as [_ most]. split; [exists 0%nat, x; repeat split; trivial; lia | ].
      intros z k'' [<- | inside] key_z; [rewrite key_x in key_z; injection key_z as <-; lra | ].
      specialize (most z k'' inside key_z). specialize (not_before k' k which). lra.
    + split; [exists 0%nat, x; repeat split; trivial; lia | ].
      intros z k'' [<- | inside] key_z; [rewrite key_x in key_z; injection key_z as <-; lra | ].
      now rewrite IH in key_z.
  - destruct (first before key (S start) rest) as [[o k'] | ].
    + destruct IH as [(i & y & at_i & there & key_y) most]. split.
      * exists (S i), y. repeat split; trivial. lia.
      * intros z k'' [<- | inside] key_z; [congruence | eauto].
    + intros z [<- | inside]; auto.
Qed.

Lemma above_measures k k' : above k k' = true -> k' <= k.
Proof. rewrite above_iff. lra. Qed.

Lemma not_above_measures k k' : above k k' = false -> k <= k'.
Proof. rewrite <- not_true_iff_false, above_iff. lra. Qed.

(** The slope is the gain per block. *)
Lemma slope_gain a b : (weight a < weight b)%nat -> value b - value a == slope a b * (q (weight b) - q (weight a)).
Proof.
  intros heavier. unfold slope. assert (extra : q (weight b) == q (weight b - weight a) + q (weight a)).
  { rewrite <- q_plus. now rewrite Nat.sub_add by lia. }
  pose proof (q_pos (weight b - weight a) ltac:(lia)) as some. rewrite extra. field. lra.
Qed.

Lemma slope_from_some a b steepness :
  slope_from a b = Some steepness ->
  (weight a < weight b)%nat /\ value a < value b /\ value b - value a == steepness * (q (weight b) - q (weight a)).
Proof.
  unfold slope_from. destruct (Nat.ltb_spec (weight a) (weight b)); [ | easy].
  destruct (above (value b) (value a)) eqn:more; [ | easy]. apply above_iff in more. intros [= <-].
  repeat split; trivial. now apply slope_gain.
Qed.

(** The next step leads to an option in range that is heavier and worth more; no heavier option is steeper. *)
Lemma next_some r o o' steepness :
  next r o = Some (o', steepness) ->
  (o' <= length r)%nat /\ slope_from (form_of r o) (form_of r o') = Some steepness /\
  forall f other, In f r -> slope_from (form_of r o) f = Some other -> other <= steepness.
Proof.
  unfold next. intros found.
  pose proof (first_spec (fun k => k) above (slope_from (form_of r o)) above_measures not_above_measures r 1) as spec.
  rewrite found in spec. destruct spec as [(i & f & -> & there & slope_f) most]. split; [ | split].
  - assert (i < length r)%nat by (apply nth_error_Some; congruence). lia.
  - simpl. unfold form_of at 2. simpl. now rewrite (nth_error_nth r i unserved there).
  - eauto.
Qed.

Lemma next_none r o : next r o = None -> forall f, In f r -> slope_from (form_of r o) f = None.
Proof.
  unfold next. intros found.
  pose proof (first_spec (fun k => k) above (slope_from (form_of r o)) above_measures not_above_measures r 1) as spec.
  now rewrite found in spec.
Qed.

(** A step is worth its slope times its blocks, which are some. *)
Lemma next_gain r o o' steepness :
  next r o = Some (o', steepness) ->
  (weight (form_of r o) < weight (form_of r o'))%nat /\ value (form_of r o) < value (form_of r o') /\ 0 < steepness /\
  value (form_of r o') - value (form_of r o) == steepness * (q (weight (form_of r o')) - q (weight (form_of r o))).
Proof.
  intros found. destruct (next_some _ _ _ _ found) as (_ & some & _).
  destruct (slope_from_some _ _ _ some) as (heavier & more & gain). repeat split; trivial.
  pose proof (q_lt _ _ heavier). nra.
Qed.

(** The base is in range and free, and at any price no free option is better. *)
Lemma base_spec r price :
  (base r <= length r)%nat /\ weight (form_of r (base r)) = 0%nat /\ optimal_below price r (base r) /\
  (base r = 0%nat \/ 0 < value (form_of r (base r))).
Proof.
  pose proof (first_spec (fun k => k) above free_value above_measures not_above_measures r 1) as spec.
  unfold base. destruct (first above free_value 1 r) as [[o k] | ].
  - destruct spec as [(i & f & -> & there & free_f) most].
    assert (is_f : form_of r (1 + i) = f) by exact (nth_error_nth r i unserved there).
    unfold optimal_below. rewrite is_f. assert (free : forall g k', free_value g = Some k' ->
      weight g = 0%nat /\ value g = k' /\ 0 < k').
    { intros g k'. unfold free_value. destruct (Nat.eqb_spec (weight g) 0); [ | easy].
      destruct (above (value g) 0) eqn:positive; [ | easy]. apply above_iff in positive. now intros [= <-]. }
    destruct (free f k free_f) as (weightless & worth_k & positive).
    split; [ | split; [easy | split; [ | right; congruence]]].
    + assert (i < length r)%nat by (apply nth_error_Some; congruence). lia.
    + intros g inside light. rewrite weightless in light. unfold reduced. rewrite weightless.
      replace (weight g) with 0%nat by lia. rewrite worth_k. destruct inside as [<- | inside]; [simpl; lra | ].
      destruct (Qlt_le_dec 0 (value g)) as [more | ]; [ | lra].
      enough (value g <= k) by lra. apply (most g); trivial.
      unfold free_value. replace (weight g) with 0%nat by lia. simpl. now rewrite (proj2 (above_iff _ _) more).
  - split; [lia | split; [easy | split; [ | now left]]]. intros g inside light. simpl in light.
    unfold reduced. simpl. replace (weight g) with 0%nat by lia. destruct inside as [<- | inside]; [simpl; lra | ].
    destruct (Qlt_le_dec 0 (value g)) as [more | ]; [ | lra]. specialize (spec g inside).
    unfold free_value in spec. replace (weight g) with 0%nat in spec by lia. simpl in spec.
    now rewrite (proj2 (above_iff _ _) more) in spec.
Qed.

(** At a price that no step from o exceeds, o is optimal if nothing lighter is better. *)
Lemma optimal_if_steps_are_flatter price r o :
  0 <= price -> optimal_below price r o ->
  (forall f steepness, In f r -> slope_from (form_of r o) f = Some steepness -> steepness <= price) ->
  optimal price r o.
Proof.
  intros nonneg below flatter f inside.
  destruct (Nat.le_gt_cases (weight f) (weight (form_of r o))) as [light | heavy]; [now apply below | ].
  destruct inside as [<- | inside]; [simpl in heavy; lia | ].
  pose proof (q_lt _ _ heavy) as heavier. unfold reduced.
  destruct (Qlt_le_dec (value (form_of r o)) (value f)) as [more | no_more]; [ | nra].
  assert (step : slope_from (form_of r o) f = Some (slope (form_of r o) f)).
  { unfold slope_from. apply Nat.ltb_lt in heavy. apply above_iff in more. now rewrite heavy, more. }
  pose proof (flatter f _ inside step). pose proof (slope_gain _ _ heavy). nra.
Qed.

(** As the price falls, lighter options do not become better. *)
Lemma optimal_below_as_price_falls price lower r o :
  lower <= price -> optimal price r o -> optimal_below lower r o.
Proof.
  intros falls top f inside light. specialize (top f inside). apply q_le in light. unfold reduced in *. nra.
Qed.

(** No step from an optimal option is steeper than the price. *)
Lemma steps_are_flatter price r o f steepness :
  optimal price r o -> In f r -> slope_from (form_of r o) f = Some steepness -> steepness <= price.
Proof.
  intros top inside step. destruct (slope_from_some _ _ _ step) as (heavier & _ & gain).
  specialize (top f (or_intror inside)). apply q_lt in heavier. unfold reduced in top. nra.
Qed.

(** A step at the price leads from one optimal option to another. *)
Lemma next_is_optimal r o o' price : next r o = Some (o', price) -> optimal price r o -> optimal price r o'.
Proof.
  intros found top f inside. destruct (next_gain _ _ _ _ found) as (_ & _ & _ & gain).
  specialize (top f inside). unfold reduced in *. nra.
Qed.

(** What is on the hull is in range and, but for not to be served, worth something. *)
Lemma on_hull_value r o :
  on_hull r o -> (o <= length r)%nat /\ (o = 0%nat \/ 0 < value (form_of r o)).
Proof.
  induction 1 as [ | o o' steepness _ [in_range worth_it] found].
  - destruct (base_spec r 0) as (in_range & _ & _ & worth_it). auto.
  - destruct (next_some _ _ _ _ found) as (in_range' & _ & _). split; trivial. right.
    destruct (next_gain _ _ _ _ found) as (_ & more & _ & _). destruct worth_it as [-> | worth_it]; [exact more | lra].
Qed.
