(** The guarantee: the greedy is feasible and worth at least half of the LP's bound, which no selection exceeds. *)

From Coq Require Import Arith Bool Lia List Lqa QArith Qminmax ZArith.
From Aptsched Require Import Problem Duality Relaxation Hull Greedy.
Import ListNotations.
Open Scope Q_scope.

(** ** The bound at the greedy's price *)

(** Where all have come to, together with what is free at the price, is worth the bound. *)
Lemma bound_of_places price capacity ps :
  Forall (fun p => optimal price (offered p) (here p)) ps ->
  bound price capacity (map offered ps) == total_value ps + price * (q capacity - q (total_weight ps)).
Proof.
  intros all. unfold bound. enough (parts : fold_right Qplus 0 (map (best_reduced price) (map offered ps)) ==
    total_value ps - price * q (total_weight ps)) by (rewrite parts; ring).
  unfold total_value, total_weight. induction all as [ | p ps top _ IH]; simpl; [unfold q; simpl; ring | ].
  rewrite IH, (best_reduced_is _ _ _ top), q_plus. unfold reduced. ring.
Qed.

Lemma hull_value_nonneg r o : on_hull r o -> 0 <= value (form_of r o).
Proof. intros hull. destruct (on_hull_value _ _ hull) as [_ [-> | positive]]; simpl; lra. Qed.

Lemma invariant_hulls ps : invariant ps -> Forall (fun p => on_hull (offered p) (here p)) ps.
Proof. apply Forall_impl. now intros p []. Qed.

Lemma total_value_nonneg ps : invariant ps -> 0 <= total_value ps.
Proof.
  intros holds. apply invariant_hulls in holds. unfold total_value.
  induction holds as [ | p ps hull _ IH]; simpl; [lra | ].
  pose proof (hull_value_nonneg _ _ hull). lra.
Qed.

(** What is left of the bound is less than what the first step left out leads to is worth. *)
Lemma bound_by_both capacity rs :
  let ps := places capacity rs in
  match first_step ps with
  | None => bound (price_of ps) capacity (fitting capacity rs) == total_value ps
  | Some (i, s) => exists p, nth_error ps i = Some p /\ on_hull (offered p) (target s) /\
      bound (price_of ps) capacity (fitting capacity rs) <= total_value ps + value (form_of (offered p) (target s))
  end.
Proof.
  destruct (places_spec capacity rs) as (holds & _ & same & _ & too_much). cbv zeta. rewrite <- same.
  assert (top : Forall (fun p => optimal (price_of (places capacity rs)) (offered p) (here p)) (places capacity rs)).
  { unfold invariant in holds. eapply Forall_impl; [ | exact holds]. now intros p []. }
  pose proof (bound_of_places _ capacity _ top) as sum. unfold price_of in sum |- *.
  destruct (first_step (places capacity rs)) as [[i s] | ] eqn:found; [ | rewrite sum; ring].
  destruct (first_step_some _ _ _ found) as (p & there & step_p & _). exists p. split; trivial.
  destruct (next_step_some _ _ step_p) as (next_p & _ & heavier).
  unfold invariant in holds. rewrite Forall_forall in holds. destruct (holds p (nth_error_In _ _ there)) as [hull _].
  split; [now apply hull_next with (here p) (steepness s) | ].
  destruct (next_gain _ _ _ _ next_p) as (_ & _ & positive & gain). pose proof (hull_value_nonneg _ _ hull).
  specialize (too_much i s eq_refl). apply q_lt in too_much. rewrite q_plus in too_much.
  rewrite heavier, q_plus in gain. nra.
Qed.

(** ** From what fits alone to the requests as they were given *)

Lemma hull_is_given capacity r o :
  on_hull (map (offer capacity) r) o ->
  form_of (map (offer capacity) r) o = form_of r o /\ (weight (form_of r o) <= capacity)%nat /\ (o <= length r)%nat.
Proof.
  intros hull. destruct (on_hull_value _ _ hull) as [in_range worth_it]. rewrite map_length in in_range.
  destruct worth_it as [-> | positive]; [repeat split; apply Nat.le_0_l | ].
  destruct (offer_or_not capacity r o) as [[same fits] | nothing_there]; [easy | ].
  rewrite nothing_there in positive. simpl in positive. lra.
Qed.

Lemma given_of_places capacity ps rs :
  invariant ps -> map given ps = rs -> map offered ps = fitting capacity rs ->
  Forall2 (fun r o => (o <= length r)%nat) rs (map here ps) /\
  weight_of rs (map here ps) = total_weight ps /\ value_of rs (map here ps) = total_value ps.
Proof.
  intros holds <-. apply invariant_hulls in holds. unfold total_weight, total_value.
  induction holds as [ | p ps hull _ IH]; simpl; intros same.
  - repeat split. constructor.
  - injection same as same_p same. destruct (IH same) as (good & weights & values). rewrite same_p in hull.
    destruct (hull_is_given _ _ _ hull) as (same_form & _ & in_range).
    rewrite weights, values, same_p, same_form. repeat split. now constructor.
Qed.

Lemma alone_spec (rs : list request) (i : nat) (r : request) (o : nat) :
  nth_error rs i = Some r -> (o <= length r)%nat ->
  Forall2 (fun r o => (o <= length r)%nat) rs (alone (length rs) i o) /\
  weight_of rs (alone (length rs) i o) = weight (form_of r o) /\
  value_of rs (alone (length rs) i o) == value (form_of r o).
Proof.
  intros there in_range. revert i there.
  assert (none : Forall2 (fun r o => (o <= length r)%nat) rs (repeat 0%nat (length rs)) /\
    weight_of rs (repeat 0%nat (length rs)) = 0%nat /\ value_of rs (repeat 0%nat (length rs)) == 0).
  { induction rs as [ | r' rs (good & weights & values)]; simpl; [repeat split; constructor | ].
    rewrite weights, values. repeat split. constructor; [lia | easy]. }
  induction rs as [ | r' rs IH]; intros [ | i] there; simpl in there; try easy.
  - injection there as ->. destruct none as (good & weights & values). inversion_clear good. simpl in *.
    assert (w0 : weight_of rs (repeat 0%nat (length rs)) = 0%nat) by exact weights.
    unfold alone. simpl. rewrite w0. repeat split; [now constructor | lia | lra].
  - destruct none as (good & weights & values). inversion_clear good. simpl in *.
    destruct (IH ltac:(repeat split; [easy | easy | lra]) i there) as (good' & weights' & values').
    unfold alone in *. simpl. repeat split; [constructor; [lia | easy] | easy | lra].
Qed.

(** Every selection only uses what fits alone. *)
Lemma feasible_fits capacity rs s :
  feasible capacity rs s ->
  feasible capacity (fitting capacity rs) s /\ value_of (fitting capacity rs) s = value_of rs s.
Proof.
  intros [good fits]. enough (same : Forall2 (fun r o => (o <= length r)%nat) (fitting capacity rs) s /\
    weight_of (fitting capacity rs) s = weight_of rs s /\ value_of (fitting capacity rs) s = value_of rs s).
  { destruct same as (good' & weights & values). rewrite values. repeat split; trivial. now rewrite weights. }
  induction good as [ | r o rs s in_range _ IH]; simpl in *; [repeat split; constructor | ].
  destruct IH as (good & -> & ->); [lia | ].
  assert (same : form_of (map (offer capacity) r) o = form_of r o).
  { destruct o as [ | o]; [easy | ].
    transitivity (offer capacity (form_of r (S o))); [exact (map_nth (offer capacity) r unserved o) | ].
    unfold offer. destruct (Nat.leb_spec (weight (form_of r (S o))) capacity); [easy | lia]. }
  rewrite same. repeat split. constructor; [now rewrite map_length | easy].
Qed.

(** ** The theorems *)

(** What the greedy returns: where all have come to, or the first step left out, whichever is worth more. *)
Lemma greedy_cases rs capacity :
  let ps := places capacity rs in
  feasible capacity rs (greedy rs capacity) /\ total_value ps <= value_of rs (greedy rs capacity) /\
  forall i p s, first_step ps = Some (i, s) -> nth_error ps i = Some p ->
  value (form_of (offered p) (target s)) <= value_of rs (greedy rs capacity).
Proof.
  destruct (places_spec capacity rs) as (holds & givens & offers & within & _).
  destruct (given_of_places capacity _ _ holds givens offers) as (good & weights & values).
  assert (prefix : feasible capacity rs (map here (places capacity rs))) by (split; [easy | now rewrite weights]).
  cbv zeta. unfold greedy. destruct (first_step (places capacity rs)) as [[i s] | ] eqn:found.
  2: { split; [easy | split; [rewrite values; lra | easy]]. }
  destruct (first_step_some _ _ _ found) as (p & there & step_p & _).
  destruct (next_step_some _ _ step_p) as (next_p & _).
  unfold invariant in holds. rewrite Forall_forall in holds. destruct (holds p (nth_error_In _ _ there)) as [hull _].
  assert (there_r : nth_error rs i = Some (given p)) by (rewrite <- givens; now apply map_nth_error).
  assert (same_p : offered p = map (offer capacity) (given p)).
  { pose proof (map_nth_error offered _ _ there) as at_i. rewrite offers in at_i.
    unfold fitting in at_i. rewrite (map_nth_error _ _ _ there_r) in at_i. congruence. }
  assert (hull' : on_hull (offered p) (target s)) by now apply hull_next with (here p) (steepness s).
  rewrite same_p in hull'. destruct (hull_is_given _ _ _ hull') as (same_form & fits & in_range).
  destruct (alone_spec rs i (given p) (target s) there_r in_range) as (good' & weights' & values').
  assert (single : feasible capacity rs (alone (length rs) i (target s))) by (split; [easy | now rewrite weights']).
  assert (worth_single : forall j p' s', Some (i, s) = Some (j, s') -> nth_error (places capacity rs) j = Some p' ->
    value (form_of (offered p') (target s')) == value_of rs (alone (length rs) i (target s))).
  { intros j p' s' [= <- <-] there'. rewrite there in there'. injection there' as <-.
    now rewrite same_p, same_form, values'. }
  destruct (above _ _) eqn:which.
  - apply above_measures in which. rewrite values in which. split; [easy | split; [easy | ]].
    intros j p' s' same there'. rewrite (worth_single j p' s' same there'). lra.
  - apply not_above_measures in which. split; [easy | split; [rewrite values; lra | ]].
    intros j p' s' same there'. now rewrite (worth_single j p' s' same there').
Qed.

(** The greedy's selection has one option for each request, in range, and is within the capacity. *)
Theorem greedy_feasible rs capacity : feasible capacity rs (greedy rs capacity).
Proof. apply greedy_cases. Qed.

(** Theorem 2: twice the greedy's value is at least the Lagrangian bound at its price (over all that fits alone). *)
Theorem greedy_half_of_bound rs capacity :
  bound (greedy_price rs capacity) capacity (fitting capacity rs) <= 2 * value_of rs (greedy rs capacity).
Proof.
  pose proof (bound_by_both capacity rs) as both. pose proof (greedy_cases rs capacity) as (_ & prefix & single).
  destruct (places_spec capacity rs) as (holds & _). pose proof (total_value_nonneg _ holds).
  unfold greedy_price. cbv zeta in *. destruct (first_step (places capacity rs)) as [[i s] | ].
  - destruct both as (p & there & _ & both). specialize (single i p s eq_refl there). lra.
  - rewrite both. lra.
Qed.

(** So twice the greedy's value is at least the value of every fractional solution of what fits alone, ... *)
Theorem greedy_half_of_lp rs capacity ms :
  lp_feasible capacity (fitting capacity rs) ms ->
  lp_value (fitting capacity rs) ms <= 2 * value_of rs (greedy rs capacity).
Proof.
  intros good. apply Qle_trans with (2 := greedy_half_of_bound rs capacity). apply lp_weak_duality; trivial.
  apply price_nonneg.
Qed.

(** ... and at least the value of every selection: at least half of the optimum. *)
Theorem greedy_half_of_optimum rs capacity s :
  feasible capacity rs s -> value_of rs s <= 2 * value_of rs (greedy rs capacity).
Proof.
  intros good. destruct (feasible_fits _ _ _ good) as [fits <-].
  rewrite <- whole_value. now apply greedy_half_of_lp, whole_feasible.
Qed.
