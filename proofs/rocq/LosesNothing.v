(** Upper hulls lose nothing in the LP, and the greedy's price is the LP's optimal multiplier. *)

From Coq Require Import Arith Bool Lia List Lqa QArith Qminmax ZArith.
From Aptsched Require Import Problem Relaxation Hull Greedy Guarantee.
Import ListNotations.
Open Scope Q_scope.

(** A solution only has shares of options that are on the hulls. *)
Definition on_hulls (rs : list request) (ms : list mixture) : Prop :=
  Forall2 (fun r m => Forall (fun part => on_hull r (snd part)) m) rs ms.

(** At most one request is fractional. *)
Definition nearly_whole (ms : list mixture) : Prop :=
  exists i, forall j m, j <> i -> nth_error ms j = Some m -> exists o, m = [(1, o)].

(** ** The run's places, with the part that still fits of the first step left out *)

Lemma Forall2_update {A B} (R : A -> B -> Prop) xs ys i x y :
  Forall2 R xs ys -> nth_error xs i = Some x -> R x y -> Forall2 R xs (update i (fun _ => y) ys).
Proof.
  intros all. revert i. induction all as [ | x' y' xs ys one all IH]; intros [ | i] there good; simpl in *; try easy.
  - injection there as ->. now constructor.
  - constructor; auto.
Qed.

Lemma total_update of ps i p m :
  nth_error ps i = Some p ->
  total of (map offered ps) (update i (fun _ => m) (whole (map here ps))) ==
  total of (map offered ps) (whole (map here ps)) + average of (offered p) m - of (form_of (offered p) (here p)).
Proof.
  revert i. induction ps as [ | p' ps IH]; intros [ | i] there; simpl in *; try easy.
  - injection there as ->. unfold average at 2. simpl. ring.
  - rewrite (IH i there). ring.
Qed.

Lemma whole_weight ps : lp_weight (map offered ps) (whole (map here ps)) == q (total_weight ps).
Proof.
  unfold lp_weight, total_weight. induction ps as [ | p ps IH]; simpl; [reflexivity | ].
  rewrite IH, q_plus. unfold average. simpl. ring.
Qed.

Lemma whole_spec ps (P : request -> mixture -> Prop) :
  (forall p, In p ps -> P (offered p) [(1, here p)]) -> Forall2 P (map offered ps) (whole (map here ps)).
Proof. induction ps as [ | p ps IH]; simpl; intros all; constructor; auto. Qed.

Lemma whole_is_whole s j m : nth_error (whole s) j = Some m -> exists o, m = [(1, o)].
Proof.
  revert j. induction s as [ | o s IH]; intros [ | j]; simpl; try easy; [ | apply IH]. intros [= <-]. now exists o.
Qed.

Lemma update_other {A} i j (change : A -> A) xs : j <> i -> nth_error (update i change xs) j = nth_error xs j.
Proof. revert i j. induction xs as [ | x xs IH]; intros [ | i] [ | j] other; simpl; try easy. apply IH. lia. Qed.

Lemma one_part r o : (o <= length r)%nat -> mixes r [(1, o)].
Proof. intros in_range. split; [ | reflexivity]. constructor; [ | easy]. split; [now compute | easy]. Qed.

(** The run's places make an LP solution on hulls that reaches the bound of the run's price. *)
Lemma places_reach_bound capacity ps :
  invariant ps -> (total_weight ps <= capacity)%nat ->
  (forall i s, first_step ps = Some (i, s) -> (capacity < total_weight ps + extra s)%nat) ->
  exists ms, lp_feasible capacity (map offered ps) ms /\ on_hulls (map offered ps) ms /\ nearly_whole ms /\
  lp_value (map offered ps) ms == bound (price_of ps) capacity (map offered ps).
Proof.
  intros holds within too_much. unfold invariant in holds. rewrite Forall_forall in holds.
  assert (best : forall p o, In p ps -> optimal (price_of ps) (offered p) o ->
    reduced (price_of ps) (form_of (offered p) o) == best_reduced (price_of ps) (offered p)).
  { intros p o _ top. symmetry. now apply best_reduced_is. }
  assert (whole_mixes : Forall2 mixes (map offered ps) (whole (map here ps))).
  { apply whole_spec. intros p inside. now apply one_part, on_hull_value, holds. }
  assert (whole_hulls : on_hulls (map offered ps) (whole (map here ps))).
  { apply whole_spec. intros p inside. constructor; [now apply holds | constructor]. }
  assert (whole_best : Forall2 (best_parts (price_of ps)) (map offered ps) (whole (map here ps))).
  { apply whole_spec. intros p inside. constructor; [now apply best; [ | apply holds] | constructor]. }
  pose proof (q_le _ _ within) as fits.
  destruct (first_step ps) as [[i s] | ] eqn:found.
  - destruct (first_step_some _ _ _ found) as (p & there & step_p & _).
    destruct (next_step_some _ _ step_p) as (next_p & some & heavier).
    destruct (holds p (nth_error_In _ _ there)) as [hull top].
    assert (price : price_of ps = steepness s) by (unfold price_of; now rewrite found).
    assert (hull' : on_hull (offered p) (target s)) by now apply hull_next with (here p) (steepness s).
    assert (top' : optimal (price_of ps) (offered p) (target s)).
    { rewrite price in *. now apply next_is_optimal with (here p). }
    specialize (too_much i s eq_refl). apply q_lt in too_much. rewrite q_plus in too_much. apply q_pos in some.
    set (part := (q capacity - q (total_weight ps)) / q (extra s)).
    assert (all : part * q (extra s) == q capacity - q (total_weight ps)) by (unfold part; field; lra).
    assert (range : 0 <= part <= 1) by (split; nra).
    set (mix := [(1 - part, here p); (part, target s)]).
    assert (there' : nth_error (map offered ps) i = Some (offered p)) by now apply map_nth_error.
    exists (update i (fun _ => mix) (whole (map here ps))).
    assert (mixed : Forall2 mixes (map offered ps) (update i (fun _ => mix) (whole (map here ps)))).
    { apply Forall2_update with (offered p); trivial. split; [ | unfold mix, shares; simpl; ring].
      repeat constructor; simpl; try lra; now apply on_hull_value. }
    assert (full : lp_weight (map offered ps) (update i (fun _ => mix) (whole (map here ps))) == q capacity).
    { unfold lp_weight. rewrite (total_update _ _ _ _ _ there). fold lp_weight. rewrite whole_weight.
      unfold average, mix. simpl. rewrite heavier, q_plus. lra. }
    split; [split; [easy | rewrite full; lra] | split; [ | split]].
    + apply Forall2_update with (offered p); trivial. now repeat constructor.
    + exists i. intros j m other at_j. rewrite update_other in at_j by easy. now apply whole_is_whole in at_j.
    + apply lp_reaches_bound; [easy | | now rewrite full].
      apply Forall2_update with (offered p); trivial. apply nth_error_In in there.
      constructor; [now apply best | constructor; [now apply best | constructor]].
  - exists (whole (map here ps)). split; [split; [easy | rewrite whole_weight; lra] | split; [easy | split]].
    + exists 0%nat. intros j m _. apply whole_is_whole.
    + apply lp_reaches_bound; trivial. unfold price_of. rewrite found. ring.
Qed.

(** ** The theorems *)

(** All requests where they start, with no regard to what fits alone. *)
Definition set_out (r : request) : place := Place r r (base r) 0.

Lemma set_out_invariant rs : invariant (map set_out rs).
Proof.
  apply invariant_if_below, Forall_forall. intros p inside. apply in_map_iff in inside as (r & <- & _).
  simpl. split; [constructor | apply base_spec].
Qed.

Lemma set_out_weight rs : total_weight (map set_out rs) = 0%nat.
Proof.
  unfold total_weight. induction rs as [ | r rs IH]; simpl; trivial. rewrite IH.
  now destruct (base_spec r 0) as (_ & -> & _).
Qed.

(** Theorem 1: an optimum of the LP over all options has shares of hull options only, and is fractional in at most one
    request. *)
Theorem hulls_lose_nothing capacity rs :
  exists ms, lp_feasible capacity rs ms /\ on_hulls rs ms /\ nearly_whole ms /\
  forall ms', lp_feasible capacity rs ms' -> lp_value rs ms' <= lp_value rs ms.
Proof.
  destruct (run_spec (S capacity) capacity (map set_out rs) (Nat.lt_succ_diag_r _) (set_out_invariant rs))
    as (holds & _ & same & within & too_much).
  rewrite set_out_weight, map_map, map_id in *.
  destruct (places_reach_bound capacity _ holds within too_much) as (ms & good & hulls & one & reached).
  rewrite same in *. exists ms. split; [easy | split; [easy | split; [easy | ]]].
  intros ms' good'. rewrite reached. apply lp_weak_duality; [apply price_nonneg | easy].
Qed.

(** Strong duality: of what fits alone, the bound at the greedy's price is the LP's optimum, the least of all bounds. *)
Theorem greedy_price_is_optimal rs capacity :
  exists ms, lp_feasible capacity (fitting capacity rs) ms /\
  lp_value (fitting capacity rs) ms == bound (greedy_price rs capacity) capacity (fitting capacity rs).
Proof.
  destruct (places_spec capacity rs) as (holds & _ & same & within & too_much).
  destruct (places_reach_bound capacity _ holds within too_much) as (ms & good & _ & _ & reached).
  rewrite same in *. now exists ms.
Qed.
